"""SegFace: a backbone, fusion of its levels and a decoder with one token per class (AAAI 2025, arXiv 2412.08647)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.models.class_token_decoder import ClassTokenDecoder
from l2s_jax.models.level_fusion import LevelFusion
from l2s_jax.models.pyramid_decoder import PyramidDecoder


class SegFace(nn.Module):
    """A network for face parsing.

    Attributes:
      backbone: images -> feature maps at strides 4, 8, 16, 32.
      classes: K.
      channels: channels of tokens and fused features.
      dtype: compute dtype of fusion and decoder.
      pyramid: `widths` of a `PyramidDecoder` instead of fusion and class tokens (ours); empty = the published decoder.
      depth, heads, mlp, pixel_channels, doublings: see `ClassTokenDecoder`.
    """

    backbone: nn.Module
    classes: int
    channels: int = 256
    dtype: jnp.dtype = jnp.float32
    depth: int = 2
    heads: int = 8
    mlp: int = 2048
    pixel_channels: int = 32
    doublings: int = 2
    pyramid: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Parse images [B, H, W, 3], normalised, H and W multiples of 32 -> logits float32 [B, H, W, K]."""
        levels = self.backbone(images, train=train)
        if self.pyramid:
            return PyramidDecoder(self.classes, self.pyramid, self.dtype, name="decoder")(levels, train=train)
        features = LevelFusion(self.channels, dtype=self.dtype, name="fusion")(levels)
        decoder = ClassTokenDecoder(
            self.classes,
            self.depth,
            self.heads,
            self.mlp,
            self.pixel_channels,
            self.doublings,
            dtype=self.dtype,
            name="decoder",
        )
        return decoder(features)
