"""Residual image discriminator of StyleGAN2 (arXiv 1912.04958), optionally conditional.

Its minibatch deviation is optional too: without it, images are judged one by one.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualConv, EqualDense
from l2s_jax.layers.minibatch_deviation import with_deviation
from l2s_jax.layers.projection import Projection
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.residual import ConvBlock


class Discriminator(nn.Module):
    """A discriminator of images. Published: 28.385 M parameters at 128 px, 28.978 M at 512 px.

    Attributes:
      channel_base: channels at R px are min(max_width, channel_base / R); 32768 is channel multiplier 2.
      max_width: largest number of channels.
      regions: number of region ids that condition the logit by projection; 0 (published) for none.
      group: consecutive rows whose deviation is shown to the last convolution (layers/minibatch_deviation.py); 0 for
        none.
      lowering: lowering of the halvings (layers/resample.py): `direct`, or `folded` to differentiate the gradient (R1).
      dtype: compute dtype; all that follows the blocks (last convolution, dense layers, logit) is at least float32.
    """

    channel_base: int = 32768
    max_width: int = 512
    regions: int = 0
    group: int = 0
    lowering: Lowering = "direct"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, region: jax.Array | None = None, weight: jax.Array | None = None) -> jax.Array:
        """Compute the logits of images.

        Args:
          image: [B, R, R, 3] in [-1, 1], R a power of two, at least 8; B a multiple of `group`.
          region: int32 [B] in 0..regions-1 if `regions` > 0, else None.
          weight: float32 [B], 0 for rows that the deviation of their group leaves out; None for 1. Only with `group`.

        Returns:
          float32 [B] logits, positive for real; float64 if `dtype` is.
        """
        size = image.shape[1]
        if size < 8 or size & (size - 1) or image.shape[2] != size:
            raise ValueError(f"image of {image.shape[1:3]} px: its sides must be one power of two, at least 8")
        x = EqualConv(self._width(size), size=1, dtype=self.dtype, name="from_rgb")(image)
        while size > 4:
            options = {"down": (1, 3, 3, 1), "lowering": self.lowering, "dtype": self.dtype}
            x = ConvBlock(self._width(size // 2), name=f"block_{size}", **options)(x)
            size //= 2
        dtype = jnp.promote_types(self.dtype, jnp.float32)
        x = x.astype(dtype)
        if self.group:
            x = with_deviation(x, self.group, weight)
        x = EqualConv(self._width(4), dtype=dtype, name="final_conv")(x).reshape(x.shape[0], -1)
        features = EqualDense(self._width(4), activate=True, dtype=dtype, name="dense_0")(x)
        logit = EqualDense(1, dtype=dtype, name="dense_1")(features)[:, 0]
        return logit + Projection(self.regions, name="projection")(features, region)

    def _width(self, size: int) -> int:
        return min(self.max_width, self.channel_base // size)
