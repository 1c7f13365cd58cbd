"""Encoder of Swapping Autoencoder (arXiv 2007.00653) as Latents2Segments uses it: image -> structure, style."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import require
from l2s_jax.layers.equalized import EqualConv, EqualDense
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.residual import ConvBlock
from l2s_jax.layers.slices import SliceTable, rms_norm, unit_norm, unit_norm_slices


class Encoder(nn.Module):
    """A residual pyramid with a structure code at 1/2^downsamplings and a global style code.

    The defaults are the published sizes: 30.585 M parameters at any resolution.

    Attributes:
      base_width: channels at full size; they double with every halving.
      max_width: largest number of channels.
      downsamplings: halvings before the structure code (4: 128 px -> 8x8).
      structure_channels: channels of the structure code.
      style_dims: length of the style code.
      style_downsamplings: unpadded 3x3 stride-2 convolutions between the deepest map and the style code. n of them need
        a map of at least 2^(n+1) - 1 pixels: 7 for the published 2, 3 for 1, any for 0.
      structure_norm: `pixel` (published): norm 1 of each pixel over all channels; `rms` (ours): root mean square 1
        instead, so that newly initialised equalised layers respond to the code; `slice`: norm 1 of each slice of
        `slices` separately, so that regions do not compete; `none`.
      slices: slice table, for `slice`.
      style_norm: `unit` (published): norm 1; `rms` (ours): norm sqrt(style_dims), so that newly initialised affine
        layers respond to the style.
      lowering: lowering of the halvings (layers/resample.py).
      dtype: compute dtype; the codes are float32.
    """

    base_width: int = 32
    max_width: int = 2048
    downsamplings: int = 4
    structure_channels: int = 8
    style_dims: int = 2048
    style_downsamplings: int = 2
    structure_norm: Literal["pixel", "rms", "slice", "none"] = "pixel"
    slices: SliceTable = ()
    style_norm: Literal["unit", "rms"] = "unit"
    lowering: Lowering = "direct"
    dtype: jnp.dtype = jnp.float32

    def width(self, halvings: int) -> int:
        """Return the number of channels after so many halvings."""
        return min(self.max_width, self.base_width * 2**halvings)

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode images.

        Args:
          image: [B, H, W, 3] in [-1, 1]; H and W multiples of 2^downsamplings.

        Returns:
          structure float32 [B, h, w, structure_channels] with h = H / 2^downsamplings, style float32 [B, style_dims].

        Raises:
          UserError: the image is too small, or its size is not a multiple of 2^downsamplings.
        """
        self._check(*image.shape[1:3])
        x = EqualConv(self.base_width, size=1, dtype=self.dtype, name="from_rgb")(image)
        for i in range(1, self.downsamplings + 1):
            options = {"down": (1, 2, 1), "pad_mode": "reflect", "lowering": self.lowering, "dtype": self.dtype}
            x = ConvBlock(self.width(i), name=f"down_{2**i}", **options)(x)
        return self._structure(x), self._style(x)

    def _structure(self, x: jax.Array) -> jax.Array:
        x = EqualConv(x.shape[-1], size=1, dtype=self.dtype, name="structure_0")(x)
        x = EqualConv(self.structure_channels, size=1, activate=False, dtype=self.dtype, name="structure_1")(x)
        x = x.astype(jnp.float32)
        if self.structure_norm in ("pixel", "rms"):
            return unit_norm(x) if self.structure_norm == "pixel" else rms_norm(x)
        return unit_norm_slices(x, self.slices) if self.structure_norm == "slice" else x

    def _style(self, x: jax.Array) -> jax.Array:
        for i in range(self.downsamplings + 1, self.downsamplings + self.style_downsamplings + 1):
            x = EqualConv(self.width(i), pad_mode="none", stride=2, dtype=self.dtype, name=f"style_down_{2**i}")(x)
        x = unit_norm(EqualDense(self.style_dims, name="style")(jnp.mean(x.astype(jnp.float32), axis=(1, 2))))
        return x * math.sqrt(self.style_dims) if self.style_norm == "rms" else x

    def _check(self, height: int, width: int) -> None:
        factor, needed = 2**self.downsamplings, 2 ** (self.style_downsamplings + 1) - 1
        require(
            height % factor == width % factor == 0,
            f"an image of {width}x{height} px cannot be encoded: its sides must be multiples of {factor}",
        )
        require(
            min(height, width) // factor >= needed,
            f"an image of {width}x{height} px is too small for {self.downsamplings} downsamplings and "
            f"{self.style_downsamplings} style downsamplings: use at least {needed * factor} px, or fewer of them",
        )
