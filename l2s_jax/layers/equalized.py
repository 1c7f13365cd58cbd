"""Dense and convolution layers with an equalised learning rate (ProGAN, arXiv 1710.10196).

Weights are stored as N(0, 1) and scaled by 1/sqrt(fan_in) when used, so that one learning rate suits every layer.
The scale is applied to the output, where it fuses with the bias: scaling the weights would copy all of them in every
call. Parameters are float32; `dtype` is the dtype of the products.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.fir import Taps, pad
from l2s_jax.layers.resample import Lowering, conv, conv_down


def leaky(x: jax.Array) -> jax.Array:
    """Compute sqrt(2) * leaky_relu(x, 0.2), which about keeps the second moment of a centred input."""
    return math.sqrt(2.0) * nn.leaky_relu(x, 0.2)


def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Add bias [C] to x [..., C], in the dtype of x."""
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + bias.shape)


class EqualDense(nn.Module):
    """A dense layer with an equalised learning rate, [..., I] -> [..., features].

    Attributes:
      features: number of outputs.
      activate: apply `leaky` after the bias.
      lr_mul: factor on the learning rate of weights and bias; the function at initialisation does not depend on it.
      bias_init: initial bias.
      dtype: compute dtype.
    """

    features: int
    activate: bool = False
    lr_mul: float = 1.0
    bias_init: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: x [..., I] -> [..., features] of `dtype`."""
        inputs = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0 / self.lr_mul), (inputs, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.constant(self.bias_init / self.lr_mul), (self.features,), jnp.float32)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype) * (self.lr_mul / math.sqrt(inputs))
        y = add_bias(y, bias * self.lr_mul)
        return leaky(y) if self.activate else y


class EqualConv(nn.Module):
    """A convolution that keeps the size, halves it through a low-pass filter, or shrinks it without padding.

    Attributes:
      features: output channels.
      size: kernel size, odd.
      pad_mode: `zero`, `reflect` or `none`.
      stride: stride of the kernel if there is no low-pass filter.
      down: taps of the low-pass filter before a stride of 2; empty for none.
      use_bias: add a bias.
      activate: apply `leaky` last.
      lowering: how the filtered halving is computed (layers/resample.py).
      dtype: compute dtype.
    """

    features: int
    size: int = 3
    pad_mode: str = "zero"
    stride: int = 1
    down: Taps = ()
    use_bias: bool = True
    activate: bool = True
    lowering: Lowering = "direct"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: x [B, H, W, I] -> [B, H', W', features] of `dtype`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        x = x.astype(self.dtype)
        if self.down:
            y = conv_down(x, kernel, self.down, self.pad_mode, self.lowering)
        elif self.pad_mode == "none":
            y = conv(x, kernel, self.stride)
        else:
            y = conv(pad(x, self.size // 2, self.size // 2, self.pad_mode), kernel, self.stride)
        y = y / math.sqrt(math.prod(shape[:3]))
        if self.use_bias:
            y = add_bias(y, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32))
        return leaky(y) if self.activate else y
