"""ConvNeXt (arXiv 2201.03545) as torchvision builds it."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.depthwise import DepthwiseConv
from l2s_jax.layers.dropout import DropPath, drop_rates

_INIT = nn.initializers.normal(0.02)


def _norm(name: str, dtype: jnp.dtype) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, dtype=dtype, name=name)


def _patches(features: int, side: int, name: str, dtype: jnp.dtype) -> nn.Conv:
    window = (side, side)
    return nn.Conv(features, window, window, padding="VALID", kernel_init=_INIT, dtype=dtype, name=name)


class Block(nn.Module):
    """Depthwise 7x7 convolution and a pointwise MLP, scaled per channel, around an identity.

    Attributes:
      drop_rate: rate of stochastic depth.
      dtype: compute dtype.
    """

    drop_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, C] -> [B, H, W, C]."""
        width = x.shape[-1]
        options = {"kernel_init": _INIT, "dtype": self.dtype}
        y = DepthwiseConv(7, name="depthwise", **options)(x)
        y = _norm("norm", self.dtype)(y)
        y = nn.gelu(nn.Dense(4 * width, name="expand", **options)(y), approximate=False)
        y = nn.Dense(width, name="project", **options)(y)
        scale = self.param("layer_scale", nn.initializers.constant(1e-6), (width,), jnp.float32)
        return x + DropPath(self.drop_rate)(y * scale.astype(self.dtype)[None, None, None], train=train)


class Downsampling(nn.Module):
    """Normalisation, then a convolution of 2x2 patches that doubles the channels."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: [B, H, W, C] -> [B, H // 2, W // 2, 2C]."""
        x = _norm("norm", self.dtype)(x)
        return _patches(2 * x.shape[-1], 2, "conv", self.dtype)(x)


class ConvNeXt(nn.Module):
    """Patch stem and four stages of blocks; normalised 2x2 patches between them.

    Attributes:
      depths: blocks of each stage.
      width: channels of the first stage; they double from stage to stage.
      stochastic_depth: drop rate of the last block.
      dtype: compute dtype.
    """

    depths: tuple[int, int, int, int]
    width: int
    stochastic_depth: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Compute four maps at strides 4, 8, 16 and 32.

        Args:
          images: [B, H, W, 3], normalised; pixels beyond a multiple of the stride are cut off, as published.
          train: whether to apply stochastic depth.
        """
        x = _norm("stem_norm", self.dtype)(_patches(self.width, 4, "stem", self.dtype)(images))
        rates = iter(drop_rates(self.stochastic_depth, sum(self.depths)))
        maps = []
        for s, depth in enumerate(self.depths, start=1):
            if s > 1:
                x = Downsampling(self.dtype, name=f"down_{s}")(x)
            for b in range(depth):
                x = Block(next(rates), self.dtype, name=f"stage_{s}_block_{b}")(x, train=train)
            maps.append(x)
        return tuple(maps)


tiny = partial(ConvNeXt, depths=(1, 1, 2, 1), width=8)
convnext_t = partial(ConvNeXt, depths=(3, 3, 9, 3), width=96)
convnext_s = partial(ConvNeXt, depths=(3, 3, 27, 3), width=96)
convnext_b = partial(ConvNeXt, depths=(3, 3, 27, 3), width=128)
