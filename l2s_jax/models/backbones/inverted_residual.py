"""Inverted residual blocks and the network built from a table of them, as MobileNetV3 and EfficientNetV2 are."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.dropout import DropPath, drop_rates

Activation = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Block:
    """One row of a table: the hyperparameters of a block.

    Attributes:
      inputs: input channels.
      features: output channels.
      expanded: inner channels.
      kernel: side of the spatial convolution.
      stride: its stride.
      activation: between the convolutions.
      squeezed: channels of the squeeze-and-excitation bottleneck, 0 for none.
      fused: one dense spatial convolution (Fused-MBConv) instead of 1x1 and depthwise.
    """

    inputs: int
    features: int
    expanded: int
    kernel: int
    stride: int
    activation: Activation
    squeezed: int = 0
    fused: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers in the order of computation."""
        widens = self.expanded != self.inputs
        if self.fused:
            return ("spatial", "project") if widens else ("spatial",)
        squeeze = ("squeeze",) if self.squeezed else ()
        return (*(("expand",) if widens else ()), "spatial", *squeeze, "project")


class SqueezeExcite(nn.Module):
    """A gate that scales channels and is computed from their global means (arXiv 1709.01507).

    Attributes:
      squeezed: channels of the bottleneck.
      activation: after the bottleneck.
      gate: activation with range [0, 1].
      use_bias: whether the two layers have biases.
      dtype: compute dtype.
    """

    squeezed: int
    activation: Activation
    gate: Activation
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the gate: [B, H, W, C] -> [B, H, W, C]."""
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        dense = partial(nn.Dense, use_bias=self.use_bias, dtype=self.dtype, kernel_init=init)
        means = jnp.mean(x.astype(jnp.float32), axis=(1, 2), keepdims=True)
        y = self.activation(dense(self.squeezed, name="reduce")(means))
        return x * self.gate(dense(x.shape[-1], name="restore")(y))


class InvertedResidual(nn.Module):
    """Expansion, spatial convolution, gate and projection; with a skip connection where the shapes allow it.

    Attributes:
      block: the row of the table.
      squeeze_activation: see `SqueezeExcite`.
      squeeze_gate: see `SqueezeExcite`.
      drop_rate: rate of stochastic depth.
      decay: decay of the running statistics.
      dtype: compute dtype.
    """

    block: Block
    squeeze_activation: Activation
    squeeze_gate: Activation
    drop_rate: float = 0.0
    decay: float = 0.9
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, inputs] -> [B, H / stride, W / stride, features]."""
        y = x
        for name in self.block.layers:
            y = self._squeeze(y) if name == "squeeze" else self._conv(name)(y, train=train)
        if self.block.stride > 1 or self.block.inputs != self.block.features:
            return y
        return x + DropPath(self.drop_rate)(y, train=train)

    def _conv(self, name: str) -> ConvNorm:
        block = self.block
        shared = {"decay": self.decay, "epsilon": 1e-3, "dtype": self.dtype, "name": name}
        if name == "expand":
            return ConvNorm(block.expanded, activation=block.activation, **shared)
        if name == "project":
            return ConvNorm(block.features, **shared)
        groups = 1 if block.fused else block.expanded
        width = block.expanded if "project" in block.layers else block.features
        return ConvNorm(width, block.kernel, block.stride, groups, activation=block.activation, **shared)

    def _squeeze(self, x: jax.Array) -> jax.Array:
        activation, gate = self.squeeze_activation, self.squeeze_gate
        return SqueezeExcite(self.block.squeezed, activation, gate, dtype=self.dtype, name="squeeze")(x)


class InvertedResidualNet(nn.Module):
    """Strided stem, stages of inverted residual blocks, 1x1 head.

    Attributes:
      stages: rows of each stage, the first stage first.
      head: channels of the last map.
      taps: numbers (from 1) of the three stages whose output is a feature map; the fourth map is the head's.
      activation: activation of stem and head.
      squeeze_activation: see `SqueezeExcite`.
      squeeze_gate: see `SqueezeExcite`.
      decay: decay of the running statistics.
      stochastic_depth: drop rate of the last block.
      dtype: compute dtype.
    """

    stages: tuple[tuple[Block, ...], ...]
    head: int
    taps: tuple[int, int, int]
    activation: Activation
    squeeze_activation: Activation
    squeeze_gate: Activation
    decay: float = 0.9
    stochastic_depth: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Compute four maps at strides 4, 8, 16 and 32.

        Args:
          images: [B, H, W, 3], normalised.
          train: whether to use batch statistics and stochastic depth.
        """
        outer = {"activation": self.activation, "decay": self.decay, "epsilon": 1e-3, "dtype": self.dtype}
        inner = {"squeeze_activation": self.squeeze_activation, "squeeze_gate": self.squeeze_gate}
        x = ConvNorm(self.stages[0][0].inputs, 3, 2, name="stem", **outer)(images, train=train)
        rates = iter(drop_rates(self.stochastic_depth, sum(map(len, self.stages))))
        maps = []
        for s, stage in enumerate(self.stages, start=1):
            for b, block in enumerate(stage):
                options = {"drop_rate": next(rates), "decay": self.decay, "dtype": self.dtype}
                x = InvertedResidual(block, name=f"stage_{s}_block_{b}", **inner, **options)(x, train=train)
            if s in self.taps:
                maps.append(x)
        return (*maps, ConvNorm(self.head, name="head", **outer)(x, train=train))


def rounded_width(width: float, divisor: int = 8) -> int:
    """Return the nearest multiple of `divisor` that is at most a tenth below `width`."""
    nearest = max(divisor, math.floor(width + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * width else nearest + divisor
