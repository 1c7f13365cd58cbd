"""MobileFaceNet (Chen et al., arXiv 1804.07573) as a landmark regressor that ends in a global depthwise convolution.

The variant of github.com/cunjian/pytorch_face_landmark: 68 points in fractions of a picture of 112 px.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.prelu import PReLU


class Bottleneck(nn.Module):
    """An inverted residual block: 1x1, depthwise 3x3 and 1x1 convolution, PReLU after the first two.

    Attributes:
      features: output channels.
      expanded: inner channels.
      stride: of the depthwise convolution; a block of stride 1 adds its input.
      dtype: compute dtype.
    """

    features: int
    expanded: int
    stride: int
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
        y = ConvNorm(self.expanded, dtype=self.dtype, name="expand")(x, train=train)
        y = PReLU(name="expand_prelu")(y)
        depthwise = ConvNorm(self.expanded, 3, self.stride, self.expanded, dtype=self.dtype, name="spatial")
        y = PReLU(name="spatial_prelu")(depthwise(y, train=train))
        y = ConvNorm(self.features, dtype=self.dtype, name="project")(y, train=train)
        return y if self.stride > 1 else x + y


class MobileFaceNet(nn.Module):
    """A strided stem, three stages of bottlenecks, a depthwise convolution as large as the map, a dense layer.

    Attributes:
      outputs: length of the vector, two numbers a landmark.
      width: channels of the first map; all others are proportional.
      depths: blocks of each stage after its first one, which halves the map.
      dtype: compute dtype; statistics, all after the last map and the result are float32.
    """

    outputs: int = 136
    width: int = 64
    depths: tuple[int, int, int] = (4, 6, 2)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """Compute outputs: images [B, S, S, 3] in [-1, 1], S a multiple of 16 -> float32 [B, outputs].

        The network itself was trained on colours in [0, 1]; they are converted here.
        """
        x = (image.astype(jnp.float32) + 1.0) / 2.0
        x = PReLU(name="stem_prelu")(ConvNorm(self.width, 3, 2, dtype=self.dtype, name="stem")(x, train=train))
        spatial = ConvNorm(self.width, 3, 1, self.width, dtype=self.dtype, name="stem_spatial")
        x = PReLU(name="stem_spatial_prelu")(spatial(x, train=train))
        for s, (features, first, rest) in enumerate(((1, 2, 2), (2, 4, 4), (2, 8, 4))):
            for b in range(1 + self.depths[s]):
                sizes = features * self.width, (rest if b else first) * self.width, 1 if b else 2
                x = Bottleneck(*sizes, self.dtype, name=f"stage_{s + 1}_block_{b}")(x, train=train)
        x = PReLU(name="head_prelu")(ConvNorm(8 * self.width, dtype=self.dtype, name="head")(x, train=train))
        x = GlobalDepthwise(name="pool")(x)
        x = BatchNorm(name="pool_norm")(x, train=train)
        x = nn.Dense(self.outputs, use_bias=False, name="dense")(x)
        return BatchNorm(name="outputs_norm")(x, train=train)


class GlobalDepthwise(nn.Module):
    """A depthwise convolution with a kernel as large as the map: a weighted sum of the pixels of each channel."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Compute [B, H, W, C] -> float32 [B, C]."""
        height, width, channels = x.shape[1:]
        init = nn.initializers.normal((height * width) ** -0.5)
        kernel = self.param("kernel", init, (height, width, 1, channels), jnp.float32)
        return jnp.einsum("bhwc,hwc->bc", x.astype(jnp.float32), kernel[:, :, 0])
