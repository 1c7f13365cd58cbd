"""The mapping network of StyleGAN2: from normal numbers z to codes w."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualDense

_EPS = 1e-8


class Mapping(nn.Module):
    """Dense layers with leaky ReLU behind a normalisation of z; float32 throughout.

    Attributes:
      code: length W of a code, and of every layer.
      layers: number of layers.
      lr_mul: learning rate of the layers, relative to that of the synthesis.
    """

    code: int = 512
    layers: int = 8
    lr_mul: float = 0.01

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Map z [B, Z], scaled to mean square 1, to w float32 [B, W]."""
        w = z.astype(jnp.float32)
        w = w * jax.lax.rsqrt(jnp.mean(jnp.square(w), axis=-1, keepdims=True) + _EPS)
        for i in range(self.layers):
            w = EqualDense(self.code, activate=True, lr_mul=self.lr_mul, name=f"dense_{i}")(w)
        return w
