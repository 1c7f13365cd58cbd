"""Stochastic depth (arXiv 1603.09382): in training, a residual branch is randomly dropped for single examples."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

RNG = "drop_path"
"""Name of the rng collection that training must pass to `apply`."""


def drop_rates(deepest: float, blocks: int) -> tuple[float, ...]:
    """Return the rates of `blocks` blocks, growing linearly from 0 at the first to `deepest` at the last."""
    return tuple(np.linspace(0.0, deepest, blocks).tolist())


class DropPath(nn.Module):
    """Stochastic depth: zeroes a residual branch for random examples and scales up the others to keep the expectation.

    Attributes:
      rate: probability with which an example is dropped, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply to x [B, ...], keeping shape and dtype; the identity outside training, which needs rng `drop_path`."""
        if not train or self.rate == 0.0:
            return x
        kept = jax.random.bernoulli(self.make_rng(RNG), jnp.float32(1.0 - self.rate), x.shape[:1] + (1,) * (x.ndim - 1))
        return jnp.where(kept, x / (1.0 - self.rate), 0.0).astype(x.dtype)
