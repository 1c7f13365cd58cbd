"""ReLU with a learned slope below zero."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class PReLU(nn.Module):
    """max(x, 0) + slope * min(x, 0), with one slope per channel (He et al., arXiv 1502.01852).

    (Flax's layer has one slope for all channels.)
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation to x [B, ..., C]; slopes begin at 0.25, as in PyTorch."""
        slope = self.param("slope", nn.initializers.constant(0.25), x.shape[-1:], jnp.float32)
        slope = slope.astype(x.dtype).reshape((1,) * (x.ndim - 1) + slope.shape)
        return jnp.where(x < 0, slope * x, x)
