"""A decoder of single slices: colour and matte of one region from that region's structure and style (ours).

One network decodes every slice. Colour and matte come from the same activations, so what improves one teaches the
other. Convolutions run at the code's resolution, but for a thin one at twice it: a fraction of the time of doubling
twice with full width (`experiments/LOG.md`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from l2s_jax.layers import remat
from l2s_jax.layers.fir import bilinear_double
from l2s_jax.layers.modulated import per_image
from l2s_jax.layers.resample import depth_to_space

HEARD = 0.2
"""Coverage at which a cell is heard at half strength. Far below it a cell is silent: noise there paints nothing."""
REACH = 7
"""Side of the box, in cells, by which coverage is blurred twice to tell which region lies near a silent cell."""
_FAR = 1e-3
"""Added to the blurred weight: where nothing is near, its logarithm is finite."""
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


def nearness(weight: Array) -> Array:
    """Return log(0.001 + weight blurred twice) of the hearing weight [N, h, w, 1]: about how near the region is.

    It is added to every logit. Where every slice is silent, as in the hole that a smaller part leaves behind, it lets
    the nearest region fill in.
    """
    for _ in range(2):
        weight = nn.avg_pool(weight, window_shape=(REACH, REACH), padding="SAME")
    return jnp.log(weight + _FAR)


class SliceDecoder(nn.Module):
    """A decoder from the slices of faces to the colours and the matte of each.

    Each region has its own first weights, as channels of a common code have in the published decoder, and a constant;
    all else is shared. The style enters twice: it scales and shifts the channels of every layer, and a linear map of it
    is the region's flat colour. A slice paints on its flat colour as far as it is heard: silent cells show it alone.

    Attributes:
      width: channels at the code's resolution; a quarter of it at twice the resolution.
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
        b, k, h, w, _ = structure.shape
        style = style.reshape(b * k, -1)
        weight = hearing(structure)
        x = self._own(weight * structure, self.width, "own", nn.initializers.lecun_normal(1, 2, (0,)))
        coarse = self._own(weight * structure, _OUT, "coarse", nn.initializers.zeros)
        weight = weight.reshape(b * k, h, w, 1)
        for block in range(self.blocks):
            y = self._styled(x, style, self.width, f"block_{block}_0")
            x = x + self._styled(y, style, self.width, f"block_{block}_1")
        x = depth_to_space(self._styled(x, style, self.width, "half"))
        fine = depth_to_space(self._styled(x, style, 4 * _OUT, "full")).astype(jnp.float32)
        smooth = jnp.concatenate((coarse.astype(jnp.float32), weight, nearness(jax.lax.stop_gradient(weight))), axis=-1)
        coarse, weight, near = jnp.split(bilinear_double(bilinear_double(smooth)), (_OUT, _OUT + 1), axis=-1)
        out = fine + coarse
        constant = self.param("constant", nn.initializers.zeros, (k, _OUT), jnp.float32)
        constant = jnp.tile(constant, (b, 1))[:, None, None]
        flat = nn.Dense(3, dtype=jnp.float32, name="flat_colour")(style)[:, None, None]
        colours = constant[..., :3] + flat + weight * out[..., :3]
        logits = (constant[..., 3:] + out[..., 3:] + near).reshape(b, k, *out.shape[1:3])
        return colours.reshape(b, k, *colours.shape[1:]), jnp.moveaxis(logits, 1, -1)

    def _own(self, structure: Array, width: int, name: str, init: nn.initializers.Initializer) -> Array:
        """Apply each region's own 1x1 convolution: [B, K, h, w, C] -> [B * K, h, w, width]."""
        b, k, h, w, c = structure.shape
        kernel = self.param(name, init, (k, c, width), jnp.float32)
        x = jnp.einsum("bkhwc,kcd->bkhwd", structure.astype(self.dtype), kernel.astype(self.dtype))
        return x.reshape(b * k, h, w, width)

    @remat.block
    def _styled(self, x: Array, style: Array, width: int, name: str) -> Array:
        """Scale and shift the channels by the style, then silu and a 3x3 convolution."""
        quiet = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        affine = nn.Dense(2 * x.shape[-1], kernel_init=quiet, dtype=jnp.float32, name=f"{name}_style")(style)
        scale, shift = jnp.split(affine, 2, axis=-1)
        x = per_image(lambda x, scale, shift: x * (1 + scale) + shift, x, scale, shift)
        return nn.Conv(width, (3, 3), dtype=self.dtype, name=name)(jax.nn.silu(x))
