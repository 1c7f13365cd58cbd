"""Residual blocks: down (encoder, discriminators), head and up (generator). All divide the sum by sqrt(2)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.equalized import EqualConv
from l2s_jax.layers.fir import Taps, bilinear_double
from l2s_jax.layers.modulated import StyledConv
from l2s_jax.layers.resample import Lowering

Noise = tuple[jax.Array | None, jax.Array | None]


def _join(main: jax.Array, skip: jax.Array) -> jax.Array:
    return (main + skip) / math.sqrt(2.0)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions beside a linear 1x1 skip; the second convolution and the skip may halve the map.

    Attributes:
      features: output channels.
      down: taps of the low-pass filter of the halving; empty keeps the size.
      pad_mode: padding of the 3x3 convolutions, `zero` or `reflect`; that of the skip is always `zero`.
      lowering: how the halving is computed (layers/resample.py).
      dtype: compute dtype.
    """

    features: int
    down: Taps
    pad_mode: str = "zero"
    lowering: Lowering = "direct"
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the block: x [B, H, W, I] -> [B, H/2, W/2, features], or the same size without `down`."""
        down = {"down": self.down, "lowering": self.lowering, "dtype": self.dtype}
        y = EqualConv(x.shape[-1], pad_mode=self.pad_mode, dtype=self.dtype, name="conv_0")(x)
        y = EqualConv(self.features, pad_mode=self.pad_mode, name="conv_1", **down)(y)
        return _join(y, EqualConv(self.features, size=1, use_bias=False, activate=False, name="skip", **down)(x))


class HeadBlock(nn.Module):
    """Two styled convolutions beside a linear 1x1 skip, at constant size."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, noise: Noise) -> jax.Array:
        """Apply to x [B * K, H, W, I], style [B, S], two noise planes [1 or B * K, H, W, 1] -> [..., features]."""
        y = StyledConv(self.features, dtype=self.dtype, name="conv_0")(x, style, noise[0])
        y = StyledConv(self.features, dtype=self.dtype, name="conv_1")(y, style, noise[1])
        skip = EqualConv(self.features, size=1, use_bias=False, activate=False, dtype=self.dtype, name="skip")(x)
        return _join(y, skip)


class UpBlock(nn.Module):
    """Two styled convolutions, the first doubling the map, beside a bilinear skip (1x1 where the width changes)."""

    features: int
    up: Taps
    lowering: Lowering = "folded"
    dtype: jnp.dtype = jnp.float32

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, noise: Noise) -> jax.Array:
        """Apply to x [B * K, H, W, I], style [B, S], two noise planes of output size -> [B * K, 2H, 2W, features]."""
        up = StyledConv(self.features, up=self.up, lowering=self.lowering, dtype=self.dtype, name="conv_0")
        y = StyledConv(self.features, dtype=self.dtype, name="conv_1")(up(x, style, noise[0]), style, noise[1])
        if x.shape[-1] != self.features:
            x = EqualConv(self.features, size=1, dtype=self.dtype, name="skip")(x)
        return _join(y, bilinear_double(x.astype(self.dtype)))
