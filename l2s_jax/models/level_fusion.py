"""Fusion of a backbone's four feature maps into one at stride 4 (SegFace, section 3.2; the decoder of SegFormer)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.layers.enlarge import enlarged_sum


class LevelFusion(nn.Module):
    """Projection of every level, upsampling to the size of the first, and mixing.

    The published order is project, upsample, concatenate, mix. All of these are linear and upsampling does not mix
    channels, so each level is projected and mixed at its own size and only the sum is taken at the full size: the same
    result with a fraction of the multiplications.

    Attributes:
      channels: channels of the result.
      dtype: compute dtype.
    """

    channels: int = 256
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels: Sequence[jax.Array]) -> jax.Array:
        """Fuse levels [B, h_i, w_i, C_i] at strides 4, 8, 16, 32 -> [B, h_0, w_0, channels]."""
        count, channels = len(levels), self.channels
        mixing = self.param("mixing", nn.initializers.lecun_normal(), (count * channels, channels), jnp.float32)
        # The published concatenation begins with the coarsest level.
        blocks = jnp.split(mixing.astype(self.dtype), count)[::-1]
        finest, *coarse = (
            _MixedProjection(self.dtype, name=f"level{i}")(level, block)
            for i, (level, block) in enumerate(zip(levels, blocks, strict=True))
        )
        return finest + enlarged_sum(coarse, finest.shape[1:3])


class _MixedProjection(nn.Module):
    """A dense layer, with the parameters of `nn.Dense`, and a product with one more matrix."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, mixing: jax.Array) -> jax.Array:
        """Compute (x kernel + bias) mixing: [B, h, w, I], [C, C] -> [B, h, w, C]."""
        inputs, channels = x.shape[-1], len(mixing)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (inputs, channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        kernel, rows = kernel.astype(self.dtype), x.astype(self.dtype).reshape(-1, inputs)
        # In the order with fewer multiplications for one picture: that of the two matrices first for large maps.
        merged = inputs < x.shape[1] * x.shape[2]
        y = rows @ (kernel @ mixing) if merged else (rows @ kernel) @ mixing
        return (y + bias.astype(self.dtype)[None] @ mixing).reshape(*x.shape[:3], channels)
