"""Patch co-occurrence discriminator of Swapping Autoencoder (arXiv 2007.00653): do crops share a texture?"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualConv, EqualDense
from l2s_jax.layers.projection import Projection
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.residual import ConvBlock


class PatchDiscriminator(nn.Module):
    """Features of crops, and logits of pairs of them. Published: 24.522 M parameters, crops of 128 px.

    Attributes:
      channel_base: channels at R px are min(max_width, channel_base / R).
      max_width: largest number of channels of the pyramid.
      head_widths: widths of the dense layers applied to a pair.
      regions: number of region ids that condition the logit by projection; 0 (published) for none.
      lowering: lowering of the halvings, as in `Discriminator`.
      dtype: compute dtype; the pair head is float32.
    """

    channel_base: int = 4096
    max_width: int = 384
    head_widths: tuple[int, ...] = (2048, 2048, 1024)
    regions: int = 0
    lowering: Lowering = "direct"
    dtype: jnp.dtype = jnp.float32

    def setup(self):  # noqa: D102 (Linen hook)
        self.pyramid = _Pyramid(self.channel_base, self.max_width, self.lowering, self.dtype)
        self.head = _PairHead(self.head_widths, self.regions)

    def features(self, crops: jax.Array) -> jax.Array:
        """Compute features of crops [..., R, R, 3] in [-1, 1], R a power of two >= 8 -> float32 [..., 2, 2, C]."""
        x = self.pyramid(crops.reshape(-1, *crops.shape[-3:]))
        return x.reshape(*crops.shape[:-3], *x.shape[1:])

    def pair(self, reference: jax.Array, features: jax.Array, region: jax.Array | None = None) -> jax.Array:
        """Compare features with the mean of a set of reference features of the same image ("aggregate").

        Args:
          reference: [B, P', h, w, C], averaged over P'.
          features: [B, P, h, w, C].
          region: int32 [B] if `regions` > 0, else None.

        Returns:
          float32 [B, P] logits, positive for the same texture.
        """
        b, p = features.shape[:2]
        mean = jnp.broadcast_to(jnp.mean(reference, axis=1, keepdims=True), features.shape)
        pairs = jnp.concatenate([mean.reshape(b * p, -1), features.reshape(b * p, -1)], axis=-1)
        return self.head(pairs, None if region is None else jnp.repeat(region, p)).reshape(b, p)

    def __call__(self, reference: jax.Array, crops: jax.Array, region: jax.Array | None = None) -> jax.Array:
        """Apply `pair` to the features of reference [B, P', R, R, 3], crops [B, P, R, R, 3] -> float32 [B, P]."""
        return self.pair(self.features(reference), self.features(crops), region)


class _Pyramid(nn.Module):
    channel_base: int
    max_width: int
    lowering: Lowering
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = x.shape[1]
        if size < 8 or size & (size - 1) or x.shape[2] != size:
            raise ValueError(f"crops of {x.shape[1:3]} px: their sides must be one power of two, at least 8")
        x = EqualConv(self._width(size), dtype=self.dtype, name="from_rgb")(x)
        while size > 4:
            options = {"down": (1, 3, 3, 1), "lowering": self.lowering, "dtype": self.dtype}
            x = ConvBlock(self._width(size // 2), name=f"block_{size}", **options)(x)
            size //= 2
        x = ConvBlock(2 * self._width(4), down=(), dtype=self.dtype, name="final_block")(x)
        return EqualConv(self._width(4), pad_mode="none", dtype=self.dtype, name="final_conv")(x).astype(jnp.float32)

    def _width(self, size: int) -> int:
        return min(self.max_width, self.channel_base // size)


class _PairHead(nn.Module):
    widths: tuple[int, ...]
    regions: int

    @nn.compact
    def __call__(self, x: jax.Array, region: jax.Array | None) -> jax.Array:
        for i, width in enumerate(self.widths):
            x = EqualDense(width, activate=True, name=f"dense_{i}")(x)
        logit = EqualDense(1, name=f"dense_{len(self.widths)}")(x)[:, 0]
        return logit + Projection(self.regions, name="projection")(x, region)
