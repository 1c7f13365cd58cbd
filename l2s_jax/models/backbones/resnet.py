"""ResNet with bottleneck blocks (arXiv 1512.03385) as in torchvision: the 3x3 convolution has the stride ("v1.5")."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.dropout import DropPath, drop_rates

EXPANSION = 4
"""Output channels of a bottleneck per inner channel."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside an identity, or beside a 1x1 projection if the shape changes.

    Attributes:
      width: inner channels.
      stride: stride of the 3x3 convolution and the projection.
      projects: whether there is a projection.
      drop_rate: rate of stochastic depth.
      dtype: compute dtype.
    """

    width: int
    stride: int
    projects: bool
    drop_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), EXPANSION * width]."""
        conv = partial(ConvNorm, dtype=self.dtype)
        y = conv(self.width, activation=nn.relu, name="reduce")(x, train=train)
        y = conv(self.width, 3, self.stride, activation=nn.relu, name="spatial")(y, train=train)
        y = conv(EXPANSION * self.width, name="expand")(y, train=train)
        if self.projects:
            x = conv(EXPANSION * self.width, 1, self.stride, name="skip")(x, train=train)
        return nn.relu(x + DropPath(self.drop_rate)(y, train=train))


class ResNet(nn.Module):
    """A residual network of a strided stem, max pooling and four stages of bottlenecks.

    Attributes:
      depths: blocks of each stage.
      width: channels of the stem and inner channels of the first stage; they double from stage to stage.
      stochastic_depth: drop rate of the last block (published: none).
      dtype: compute dtype.
    """

    depths: tuple[int, int, int, int]
    width: int = 64
    stochastic_depth: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Compute four maps at strides 4, 8, 16 and 32.

        Args:
          images: [B, H, W, 3], normalised.
          train: whether to use batch statistics and stochastic depth.
        """
        x = ConvNorm(self.width, 7, 2, activation=nn.relu, dtype=self.dtype, name="stem")(images, train=train)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # after the ReLU, zeros change no maximum
        x = nn.max_pool(x, window_shape=(3, 3), strides=(2, 2))
        rates = iter(drop_rates(self.stochastic_depth, sum(self.depths)))
        maps = []
        for s, depth in enumerate(self.depths):
            for b in range(depth):
                shape = (self.width * 2**s, 2 if s > 0 and b == 0 else 1, b == 0)
                x = Bottleneck(*shape, next(rates), self.dtype, name=f"stage_{s + 1}_block_{b}")(x, train=train)
            maps.append(x)
        return tuple(maps)


resnet101 = partial(ResNet, depths=(3, 4, 23, 3))
tiny = partial(ResNet, depths=(1, 2, 1, 1), width=4)
