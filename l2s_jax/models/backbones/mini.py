"""A small residual network for two CPU cores (ours): 3x3 convolutions, everything else flat matrix products.

Operations that are slow in XLA on CPUs, especially backward, are avoided: strided and depthwise convolutions, 1x1
convolutions and pooling. The resolution is reduced by dividing the map into 2x2 patches instead.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.dropout import DropPath, drop_rates
from l2s_jax.layers.flat_dot import flat_dot_general


def patches(x: jax.Array) -> jax.Array:
    """Merge every 2x2 square of pixels: [B, H, W, C] -> [B, H // 2, W // 2, 4 C]; an odd last row is cut off."""
    batch, height, width, channels = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    x = x[:, : 2 * height, : 2 * width].reshape(batch, height, 2, width, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height, width, 4 * channels)


class Halving(nn.Module):
    """A convolution of 2x2 patches and its normalisation.

    Attributes:
      features: output channels.
      dtype: compute dtype.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the layer: [B, H, W, C] -> [B, H // 2, W // 2, features]."""
        dense = nn.Dense(self.features, use_bias=False, dtype=self.dtype, dot_general=flat_dot_general, name="dense")
        return BatchNorm(dtype=self.dtype, name="norm")(dense(patches(x)), train=train)


class Block(nn.Module):
    """Two 3x3 convolutions around an identity (ResNet's basic block).

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
        y = ConvNorm(width, 3, activation=nn.relu, dtype=self.dtype, name="conv1")(x, train=train)
        y = ConvNorm(width, 3, dtype=self.dtype, name="conv2")(y, train=train)
        return nn.relu(x + DropPath(self.drop_rate)(y, train=train))


class Mini(nn.Module):
    """A residual network of a stem at half the size and four stages of blocks.

    Attributes:
      depths: blocks of each stage.
      widths: channels of each stage.
      stem: channels of the stem.
      stochastic_depth: drop rate of the last block.
      dtype: compute dtype.
    """

    depths: tuple[int, int, int, int] = (1, 2, 2, 2)
    widths: tuple[int, int, int, int] = (40, 80, 128, 192)
    stem: int = 24
    stochastic_depth: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Compute four maps at strides 4, 8, 16 and 32.

        Args:
          images: [B, H, W, 3], normalised; pixels beyond a multiple of the stride are cut off.
          train: whether to use batch statistics and stochastic depth.
        """
        x = nn.relu(Halving(self.stem, self.dtype, name="stem")(images.astype(self.dtype), train=train))
        x = ConvNorm(self.stem, 3, activation=nn.relu, dtype=self.dtype, name="stem_conv")(x, train=train)
        rates = iter(drop_rates(self.stochastic_depth, sum(self.depths)))
        maps = []
        for s, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
            x = nn.relu(Halving(width, self.dtype, name=f"down_{s}")(x, train=train))
            for b in range(depth):
                x = Block(next(rates), self.dtype, name=f"stage_{s}_block_{b}")(x, train=train)
            maps.append(x)
        return tuple(maps)


small = partial(Mini, widths=(32, 64, 112, 144), stem=16)
tiny = partial(Mini, depths=(1, 1, 1, 1), widths=(8, 16, 16, 32), stem=8)
