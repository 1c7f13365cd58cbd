"""An encoder whose structure code is sliced by region as it is written (ours).

Where a region is and what it looks like come from different depths of one pyramid:

* where: deep features, which see the whole face, give one logit per region and pixel (the light head). Its softmax,
  averaged over the pixels of a cell of the code, is the region's coverage of that cell.
* what: shallow features, which see 39 px (and, through group norms, statistics of the whole face), give the content of
  every slice. Content is normalised within its own region (mean 0, variance 1 over the cells it covers) and multiplied
  by the coverage.

So slice k is silent outside region k, though its content sees past the border; a region's mean colour cannot pass
through its structure and goes into its style, pooled over the same cells. Cells are H/4 x W/4: the published code at
H/16 x W/16 leaves half a cell to an eye at 128 px.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from l2s_jax.layers import remat
from l2s_jax.layers.resample import depth_to_space
from l2s_jax.layers.slices import rms_norm

CELL = 4
"""Side of a cell of the code, pixels."""
_FEW = 1e-2
"""Least area of a region in cells, so that the means of an absent one are finite."""


def _norm(x: Array, dtype: DTypeLike) -> Array:
    # Statistics per image, never per batch, so that results do not depend on the number of devices; float32 (Flax).
    return nn.GroupNorm(num_groups=None, group_size=8, epsilon=1e-5, dtype=dtype)(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation and a skip connection; halves the map when `stride` is 2."""

    width: int
    stride: int = 1
    dtype: DTypeLike = jnp.float32
    activation: Callable[[Array], Array] = nn.silu

    @remat.block
    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Apply the block: [B, H, W, C] -> [B, H/stride, W/stride, width]."""
        conv = lambda stride: nn.Conv(self.width, (3, 3), (stride, stride), use_bias=False, dtype=self.dtype)  # noqa: E731
        y = self.activation(_norm(conv(self.stride)(x), self.dtype))
        y = _norm(conv(1)(y), self.dtype)
        if self.stride == 2:
            x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        if x.shape[-1] != self.width:
            x = nn.Conv(self.width, (1, 1), dtype=self.dtype)(x)
        return self.activation(x + y)


class SlicedEncoder(nn.Module):
    """An encoder from an image to one structure slice and one style for each region, and the light head's logits.

    Attributes:
      channels: of each of the K slices, its coverage and its content; C, the most of them, is what all have room for.
      style_dim: S, length of a region's style.
      widths: channels at H/2, H/4, H/8, ... ; the image side must be a multiple of 2 ** len(widths).
      depths: residual blocks per scale.
      light_width: channels of the light head at H/2.
      dtype: compute dtype; parameters, logits and codes are float32.
    """

    channels: tuple[int, ...]
    style_dim: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    light_width: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, Array, Array]:
        """Encode images.

        Args:
          image: [B, H, W, 3] in [-1, 1].

        Returns:
          structure float32 [B, K, H/4, W/4, C], channel 0 the coverage in [0, 1]; style float32 [B, K, S], of root mean
          square 1; logits float32 [B, H, W, K] of the light head.
        """
        scales = self._scales(image)
        logits = self._light(self._context(scales))
        coverage = _cells(jax.nn.softmax(logits))[..., None]
        local = scales[1].astype(jnp.float32)
        own = np.array(self.channels)[:, None] - 1 > np.arange(max(self.channels) - 1)  # [K, C - 1], content it has
        content = nn.Dense(own.size, dtype=jnp.float32, name="content")(local).reshape(*coverage.shape[:-1], -1)
        content = own[None, None, None] * coverage * normalized_within(content, coverage)
        structure = jnp.concatenate((coverage, content), axis=-1)
        seen = jnp.concatenate((local, _cells(image.astype(jnp.float32))), axis=-1)
        pooled = _mean_within(seen[:, :, :, None], coverage)[:, 0, 0]
        style = rms_norm(nn.Dense(self.style_dim, dtype=jnp.float32, name="style")(pooled))
        return jnp.moveaxis(structure, 3, 1), style, logits

    def _scales(self, image: Array) -> list[Array]:
        """Return the features of each scale, from H/2."""
        x = nn.Conv(self.widths[0], (3, 3), (2, 2), dtype=self.dtype)(image.astype(self.dtype))
        x = nn.silu(_norm(x, self.dtype))
        scales = []
        for scale, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for block in range(depth):
                x = ResidualBlock(width, 2 if scale > 0 and block == 0 else 1, self.dtype)(x)
            scales.append(x)
        return scales

    def _context(self, scales: list[Array]) -> Array:
        """Bring what the coarsest scale knows back to H/4, past all scales between."""
        x = scales[-1]
        for lateral in scales[-2:0:-1]:
            width = lateral.shape[-1]
            x = nn.Conv(width, (1, 1), dtype=self.dtype)(x).repeat(2, axis=1).repeat(2, axis=2)
            x = ResidualBlock(width, dtype=self.dtype)(x + nn.Conv(width, (1, 1), dtype=self.dtype)(lateral))
        # The finest scale enters through a strided convolution: thin parts (lips, lids) keep their half-pixel position.
        return x + nn.Conv(x.shape[-1], (3, 3), (2, 2), dtype=self.dtype)(scales[0])

    def _light(self, x: Array) -> Array:
        """Compute the light head's logits: [B, H/4, W/4, F] -> float32 [B, H, W, K]."""
        x = nn.silu(nn.Conv(x.shape[-1], (3, 3), dtype=self.dtype, name="light_0")(nn.silu(x)))
        x = nn.silu(depth_to_space(nn.Conv(4 * self.light_width, (3, 3), dtype=self.dtype, name="light_1")(x)))
        x = nn.Conv(4 * len(self.channels), (3, 3), dtype=jnp.float32, name="light_2")(x.astype(jnp.float32))
        return depth_to_space(x)


def _cells(x: Array) -> Array:
    """Average over the pixels of each cell: [B, H, W, C] -> [B, H/4, W/4, C]."""
    return nn.avg_pool(x, window_shape=(CELL, CELL), strides=(CELL, CELL))


def _mean_within(x: Array, coverage: Array) -> Array:
    """Average over the cells of each region: x [B, h, w, K or 1, C], coverage [B, h, w, K, 1] -> [B, 1, 1, K, C]."""
    return (coverage * x).sum((1, 2), keepdims=True) / jnp.maximum(coverage.sum((1, 2), keepdims=True), _FEW)


def normalized_within(content: Array, coverage: Array) -> Array:
    """Normalise content within each region: mean 0, variance 1 over the cells it covers, values softly bounded by 3.

    Args:
      content: float32 [B, h, w, K, C].
      coverage: float32 [B, h, w, K, 1], the weights of the statistics.

    Returns:
      float32 [B, h, w, K, C].
    """
    content = content - _mean_within(content, coverage)
    content = content * jax.lax.rsqrt(_mean_within(jnp.square(content), coverage) + 1e-2)
    return 3 * jnp.tanh(content / 3)
