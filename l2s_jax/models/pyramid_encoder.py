"""A feature-pyramid encoder that writes the sliced structure code at a quarter of the image's resolution (ours).

The published encoder downsamples to H/16 before it writes the code; at 128 px an eye is then half a pixel of the code.
This one computes features at several scales, upsamples and writes H/4 x W/4. No skip connection bypasses the code, so
the code is still the only input of any decoder.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from l2s_jax.layers.slices import rms_norm


def _norm(x: Array, dtype: DTypeLike) -> Array:
    # Statistics per image, never per batch, so that results do not depend on the number of devices; float32 (Flax).
    return nn.GroupNorm(num_groups=None, group_size=8, epsilon=1e-5, dtype=dtype)(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation and a skip connection; halves the map when `stride` is 2."""

    width: int
    stride: int = 1
    dtype: DTypeLike = jnp.float32
    activation: Callable[[Array], Array] = nn.silu

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Apply the block: [B, H, W, C] -> [B, H/stride, W/stride, width]."""
        conv = lambda stride: nn.Conv(self.width, (3, 3), (stride, stride), use_bias=False, dtype=self.dtype)  # noqa: E731
        y = self.activation(_norm(conv(self.stride)(x), self.dtype))
        y = _norm(conv(1)(y), self.dtype)
        if self.stride == 2:
            x = nn.avg_pool(x, (2, 2), (2, 2))
        if x.shape[-1] != self.width:
            x = nn.Conv(self.width, (1, 1), dtype=self.dtype)(x)
        return self.activation(x + y)


class PyramidEncoder(nn.Module):
    """An encoder from an image to (structure code, style code).

    Attributes:
      structure_channels: C, channels of the structure code (all slices together).
      style_dim: S, length of the style code.
      widths: channels at H/2, H/4, H/8, ... ; the image side must be a multiple of 2 ** len(widths).
      depths: residual blocks per scale.
      dtype: compute dtype; parameters are float32.
    """

    structure_channels: int
    style_dim: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, Array]:
        """Encode images.

        Args:
          image: [B, H, W, 3] in [-1, 1].

        Returns:
          structure float32 [B, H/4, W/4, C], of root mean square 1 over C at every pixel; style float32 [B, S], of root
          mean square 1. (Newly initialised equalised layers hardly respond to the published codes, of norm 1.)
        """
        x = nn.Conv(self.widths[0], (3, 3), (2, 2), dtype=self.dtype)(image.astype(self.dtype))
        x = nn.silu(_norm(x, self.dtype))
        scales = []
        for scale, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for block in range(depth):
                x = ResidualBlock(width, 2 if scale > 0 and block == 0 else 1, self.dtype)(x)
            scales.append(x)
        style = nn.Dense(self.style_dim, dtype=jnp.float32)(x.astype(jnp.float32).mean((1, 2)))

        for lateral in scales[-2:0:-1]:
            width = lateral.shape[-1]
            x = nn.Conv(width, (1, 1), dtype=self.dtype)(x).repeat(2, axis=1).repeat(2, axis=2)
            x = ResidualBlock(width, dtype=self.dtype)(x + nn.Conv(width, (1, 1), dtype=self.dtype)(lateral))
        # The finest scale enters through a strided convolution: thin parts (lips, lids) keep their half-pixel position.
        x = x + nn.Conv(x.shape[-1], (3, 3), (2, 2), dtype=self.dtype)(scales[0])
        x = nn.silu(nn.Conv(x.shape[-1], (3, 3), dtype=self.dtype)(x))
        structure = nn.Conv(self.structure_channels, (1, 1), dtype=jnp.float32)(x.astype(jnp.float32))
        return rms_norm(structure), rms_norm(style)
