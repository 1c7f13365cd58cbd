"""Fusion of a backbone's four feature maps into one at stride 4 (SegFace, section 3.2; the decoder of SegFormer)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.layers.enlarge import enlarge
from l2s_jax.layers.flat_dot import flat_dot_general


class LevelFusion(nn.Module):
    """Projection of every level, upsampling to the size of the first, and mixing.

    The published order is project, upsample, concatenate, mix. All of these are linear and upsampling does not mix
    channels, so each level is mixed at its own size and only the sum is taken at the full size: the same result with
    a quarter of the multiplications.

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
        fused = 0
        for i, (level, block) in enumerate(zip(levels, blocks, strict=True)):
            project = nn.Dense(channels, dtype=self.dtype, dot_general=flat_dot_general, name=f"level{i}")
            mixed = jnp.matmul(project(level).reshape(-1, channels), block).reshape(*level.shape[:3], channels)
            fused += enlarge(mixed, levels[0].shape[1:3])
        return fused
