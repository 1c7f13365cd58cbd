"""The synthesis network of StyleGAN2 with skip connections: from codes w to an image."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.fir import bilinear_double
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.style_conv import StyleConv, ToImage

TAPS = (1, 3, 3, 1)
BUFFERS = "buffers"
"""Collection of the variables that no gradient trains: the stored noise, and the mean code (generator.py)."""

Noise = Literal["const", "none"] | jax.Array
"""The noise of all layers: the stored planes, none, or fresh planes from one typed PRNG key for each row, [B]."""


class Synthesis(nn.Module):
    """Styled convolutions from 4 x 4 pixels up; every resolution adds to an RGB image that is doubled beside them.

    Attributes:
      size: side R of the image, a power of two, at least 8.
      channel_base: channels at r px are min(max_width, channel_base / r).
      max_width: largest number of channels.
      lowering: how the doublings are computed (layers/resample.py): `auto` for training, `direct` for inference.
      dtype: compute dtype of the convolutions; styles, noise and the RGB image are float32.
    """

    size: int
    channel_base: int = 16384
    max_width: int = 512
    lowering: Lowering = "auto"
    dtype: jnp.dtype = jnp.float32

    @property
    def layers(self) -> int:
        """Return L, the number of codes of an image: one for each convolution, one for the last RGB layer."""
        return 2 * int(math.log2(self.size)) - 2

    @nn.compact
    def __call__(self, w: jax.Array, noise: Noise = "const") -> jax.Array:
        """Synthesise images.

        Args:
          w: float32 [B, W], one code for all layers, or [B, L, W], one for each.
          noise: see `Noise`.

        Returns:
          float32 [B, R, R, 3] in about [-1, 1], not clipped.

        Raises:
          ValueError: R is no power of two of at least 8, or `w` has another number of layers.
        """
        if self.size < 8 or self.size & (self.size - 1):
            raise ValueError(f"an image of {self.size} px: the side must be a power of two, at least 8")
        if w.ndim == 2:
            w = jnp.broadcast_to(w[:, None], (w.shape[0], self.layers, w.shape[1]))
        if w.shape[1] != self.layers:
            raise ValueError(f"codes of {w.shape[1]} layers for an image of {self.size} px, which has {self.layers}")
        options = {"lowering": self.lowering, "dtype": self.dtype}
        constant = self.param("const", nn.initializers.normal(1.0), (4, 4, self._width(4)), jnp.float32)
        x = jnp.broadcast_to(constant[None], (w.shape[0], *constant.shape)).astype(self.dtype)
        x = StyleConv(self._width(4), name="conv_4", **options)(x, w[:, 0], self._planes(0, 4, noise))
        image = ToImage(dtype=self.dtype, name="rgb_4")(x, w[:, 1])
        for layer in range(1, self.layers - 1, 2):  # a resolution's RGB layer shares its code with the next resolution
            side = 4 * 2 ** ((layer + 1) // 2)
            up = StyleConv(self._width(side), up=TAPS, name=f"up_{side}", **options)
            x = up(x, w[:, layer], self._planes(layer, side, noise))
            same = StyleConv(self._width(side), name=f"conv_{side}", **options)
            x = same(x, w[:, layer + 1], self._planes(layer + 1, side, noise))
            image = bilinear_double(image, border="zero")
            image += ToImage(dtype=self.dtype, name=f"rgb_{side}")(x, w[:, layer + 2])
        return image

    def _planes(self, layer: int, side: int, noise: Noise) -> jax.Array | None:
        """Return N(0, 1) planes [1 or B, side, side, 1] of a layer, each layer's its own; None without noise."""
        shape = (side, side, 1)
        draw = nn.initializers.normal(1.0)
        stored = self.variable(BUFFERS, f"noise_{layer}", lambda: draw(self.make_rng("params"), shape, jnp.float32))
        if isinstance(noise, jax.Array):
            return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, layer), shape))(noise)
        return stored.value[None] if noise == "const" else None

    def _width(self, side: int) -> int:
        return min(self.max_width, self.channel_base // side)
