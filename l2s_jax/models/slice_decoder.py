"""A decoder of single slices: colour and matte of one region from that region's structure and style (ours).

One network decodes every slice. Colour and matte come from the same activations, so what improves one teaches the
other. All convolutions run at the code's resolution and the last writes 4x4 pixels at once: at equal scores a quarter
of the time of doubling twice (`experiments/LOG.md`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from l2s_jax.layers.modulated import per_image
from l2s_jax.layers.resample import depth_to_space
from l2s_jax.models.sliced_encoder import CELL

HEARD = 0.2
"""Coverage at which a cell is heard at half strength. Far below it a cell is silent: noise there paints nothing."""
_OUT = 4
"""Colours and matte."""


def hearing(structure: Array) -> Array:
    """Weigh cells by their coverage c, channel 0 of [..., h, w, C]: (1 + a^2) c^2 / (c^2 + a^2), a = HEARD.

    1 at full coverage; the slope at coverage 0 is 0.

    Returns:
      [..., h, w, 1].
    """
    squared = jnp.square(jnp.maximum(structure[..., :1], 0.0))
    return (1 + HEARD**2) * squared / (squared + HEARD**2)


class SliceDecoder(nn.Module):
    """A decoder from the slices of faces to the colours and the matte of each.

    Each region has its own first weights, as channels of a common code have in the published decoder, and a constant;
    all else is shared. The style enters twice: it scales and shifts the channels of every layer, and a linear map of it
    is the region's flat colour. A slice paints on its flat colour as far as it is heard: silent cells show it alone.

    Attributes:
      width: channels.
      blocks: number of residual blocks.
      dtype: compute dtype; parameters and outputs are float32.
    """

    width: int
    blocks: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, structure: Array, style: Array) -> tuple[Array, Array]:
        """Decode structure [B, K, h, w, C] and style [B, K, S].

        Returns:
          colours float32 [B, K, 4h, 4w, 3], about [-1, 1] but unclamped; logits of the mattes float32 [B, 4h, 4w, K].
        """
        b, k = structure.shape[:2]
        weight, style = hearing(structure), style.reshape(b * k, -1)
        structure = weight * structure
        x = self._own(structure, self.width, "own", nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=0))
        coarse = self._own(structure, _OUT, "coarse", nn.initializers.zeros)
        for block in range(self.blocks):
            y = self._styled(x, style, self.width, f"block_{block}_0")
            x = x + self._styled(y, style, self.width, f"block_{block}_1")
        fine = self._styled(x, style, CELL**2 * _OUT, "out").astype(jnp.float32)
        out = depth_to_space(fine + jnp.tile(coarse.astype(jnp.float32), CELL**2), CELL)
        out = out.reshape(b, k, *out.shape[1:3], _OUT)
        constant = self.param("constant", nn.initializers.zeros, (k, _OUT), jnp.float32)
        flat = nn.Dense(3, dtype=jnp.float32, name="flat_colour")(style).reshape(b, k, 1, 1, 3)
        weight = weight.repeat(CELL, axis=2).repeat(CELL, axis=3)
        colours = constant[None, :, None, None, :3] + flat + weight * out[..., :3]
        return colours, jnp.moveaxis(constant[None, :, None, None, 3] + out[..., 3], 1, -1)

    def _own(self, structure: Array, width: int, name: str, init: nn.initializers.Initializer) -> Array:
        """Apply each region's own 1x1 convolution: [B, K, h, w, C] -> [B * K, h, w, width]."""
        b, k, h, w, c = structure.shape
        kernel = self.param(name, init, (k, c, width), jnp.float32)
        x = jnp.einsum("bkhwc,kcd->bkhwd", structure.astype(self.dtype), kernel.astype(self.dtype))
        return x.reshape(b * k, h, w, width)

    def _styled(self, x: Array, style: Array, width: int, name: str) -> Array:
        """Scale and shift the channels by the style, then silu and a 3x3 convolution."""
        quiet = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        affine = nn.Dense(2 * x.shape[-1], kernel_init=quiet, dtype=jnp.float32, name=f"{name}_style")(style)
        scale, shift = jnp.split(affine, 2, axis=-1)
        x = per_image(lambda x, scale, shift: x * (1 + scale) + shift, x, scale, shift)
        return nn.Conv(width, (3, 3), dtype=self.dtype, name=name)(jax.nn.silu(x))
