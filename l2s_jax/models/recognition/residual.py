"""Residual networks of face recognition: iresnet (InsightFace) and IR-SE (TreB1eN), as one family.

A block is a normalisation, two 3x3 convolutions with a PReLU in between, of which the second has the stride, and
another normalisation; nothing follows the sum. The first block of every stage halves the map.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.layers.conv_norm import INIT, ConvNorm
from l2s_jax.layers.prelu import PReLU
from l2s_jax.models.backbones.inverted_residual import SqueezeExcite


class Block(nn.Module):
    """A residual block.

    Attributes:
      features: output channels.
      stride: of the second convolution and of the shortcut.
      inner_norm: whether there is a normalisation between the first convolution and the PReLU.
      pooled: the shortcut of a stride without a change of channels takes every second pixel (max pooling of 1x1);
        False: it is a 1x1 convolution with normalisation, as it always is where the channels change.
      reduction: channels per channel of the squeeze-and-excitation bottleneck at the end; 0 = no such gate.
      dtype: compute dtype.
    """

    features: int
    stride: int
    inner_norm: bool
    pooled: bool
    reduction: int
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
        norm = partial(BatchNorm, dtype=self.dtype)
        y = norm(name="norm_1")(x, train=train)
        y = conv3x3(self.features, 1, self.dtype, "conv_1")(y)
        if self.inner_norm:
            y = norm(name="norm_2")(y, train=train)
        y = PReLU(name="prelu")(y)
        y = conv3x3(self.features, self.stride, self.dtype, "conv_2")(y)
        y = norm(name="norm_3")(y, train=train)
        if self.reduction:
            squeezed = max(self.features // self.reduction, 1)
            gate = SqueezeExcite(squeezed, nn.relu, nn.sigmoid, use_bias=False, dtype=self.dtype, name="squeeze")
            y = gate(y)
        if x.shape[-1] != self.features or (self.stride > 1 and not self.pooled):
            shortcut = ConvNorm(self.features, 1, self.stride, dtype=self.dtype, name="shortcut")
            return y + shortcut(x, train=train)
        return y + x[:, :: self.stride, :: self.stride].astype(self.dtype)


class ResidualEncoder(nn.Module):
    """A stem of stride 1, four stages of blocks that halve the map each, a dense layer over the flattened map.

    Attributes:
      depths: blocks of each stage.
      outputs: length of the vector.
      width: channels of the stem and of the first stage; they double from stage to stage.
      inner_norm, pooled, reduction: of the blocks, see `Block`.
      last_scale: whether the normalisation of the outputs has a scale (in iresnet it is fixed to 1).
      dtype: compute dtype; statistics, the dense layer and the result are float32.
    """

    depths: tuple[int, int, int, int]
    outputs: int = 512
    width: int = 64
    inner_norm: bool = True
    pooled: bool = False
    reduction: int = 0
    last_scale: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """Encode images [B, S, S, 3] in [-1, 1], S a multiple of 16 -> float32 [B, outputs], not normalised."""
        x = conv3x3(self.width, 1, self.dtype, "stem")(image)
        x = BatchNorm(dtype=self.dtype, name="stem_norm")(x, train=train)
        x = PReLU(name="stem_prelu")(x)
        for s, depth in enumerate(self.depths):
            for b in range(depth):
                shape = self.width * 2**s, 1 if b else 2
                rest = self.inner_norm, self.pooled, self.reduction, self.dtype
                x = Block(*shape, *rest, name=f"stage_{s + 1}_block_{b}")(x, train=train)
        x = BatchNorm(name="norm")(x, train=train)
        x = nn.Dense(self.outputs, name="dense")(x.reshape(len(x), -1))
        return BatchNorm(use_scale=self.last_scale, name="outputs_norm")(x, train=train)


def conv3x3(features: int, stride: int, dtype: jnp.dtype, name: str) -> nn.Conv:
    """Return a 3x3 convolution without bias whose border is padded on both sides."""
    shape = features, (3, 3), (stride, stride)
    return nn.Conv(*shape, padding=1, use_bias=False, kernel_init=INIT, dtype=dtype, name=name)


def iresnet(depths: tuple[int, int, int, int], **sizes) -> ResidualEncoder:
    """Return InsightFace's network (recognition/arcface_torch); `sizes`: outputs, width, dtype."""
    return ResidualEncoder(depths, **sizes)


def ir_se(depths: tuple[int, int, int, int], **sizes) -> ResidualEncoder:
    """Return TreB1eN's IR-SE (InsightFace_Pytorch); `sizes`: outputs, width, dtype."""
    return ResidualEncoder(depths, inner_norm=False, pooled=True, reduction=16, last_scale=True, **sizes)
