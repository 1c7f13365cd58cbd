"""The convolutions of a StyleGAN2 generator (arXiv 1912.04958): styles scale channels, demodulation restores the norm.

A kernel of its own for every row, W_bkio = s_bi W_kio, divided by the norm of each output channel, is the same as

    y_bo = d_bo * conv(s_b * x_b, W)_o      d_bo = 1 / sqrt(sum_i s_bi^2 sum_k W_kio^2 + 1e-8)

with ONE kernel for all rows: scale the input, convolve, scale the output. That form is exact, and several times faster
to differentiate than a grouped convolution with a kernel per row. The demodulated convolution of Swapping Autoencoder
(layers/modulated.py) is another function.

Styles, demodulation, noise and the sum with the bias are float32; `dtype` is that of the products.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualDense, add_bias, leaky
from l2s_jax.layers.fir import Taps
from l2s_jax.layers.resample import Lowering, conv, conv_up

_EPS = 1e-8


def style_conv(
    x: jax.Array,
    kernel: jax.Array,
    style: jax.Array,
    gain: float = 1.0,
    *,
    demodulate: bool = True,
    up: Taps = (),
    lowering: Lowering = "auto",
) -> jax.Array:
    """Convolve every row with `gain * kernel`, its input channels scaled by the row's style.

    Args:
      x: [B, H, W, I] of the compute dtype.
      kernel: float32 [k, k, I, O], k odd; 3 with `up`.
      style: float32 [B, I].
      gain: factor on the kernel, 1 / sqrt(k * k * I) for an equalised learning rate.
      demodulate: divide by the norm of each row's scaled kernel, one number for every output channel.
      up: four taps of the low-pass filter after doubling; empty keeps the size.
      lowering: how the doubling is computed (layers/resample.py).

    Returns:
      float32 [B, H, W, O], or [B, 2H, 2W, O] with `up`.
    """
    x = x * style[:, None, None, :].astype(x.dtype)
    y = conv_up(x, kernel, up, lowering) if up else conv(x, kernel, padding="SAME")
    if not demodulate:
        return gain * y.astype(jnp.float32)
    squared = jnp.square(style) @ jnp.sum(jnp.square(kernel), axis=(0, 1))
    scale = gain * jax.lax.rsqrt(gain**2 * squared + _EPS)
    return scale[:, None, None, :] * y.astype(jnp.float32)


class ModulatedConv(nn.Module):
    """`style_conv` with an equalised learning rate; the style is an affine function of a code.

    Attributes:
      features: output channels.
      size: kernel size, odd; 3 with `up`.
      demodulate, up, lowering: as for `style_conv`.
      dtype: compute dtype of the convolution.
    """

    features: int
    size: int = 3
    demodulate: bool = True
    up: Taps = ()
    lowering: Lowering = "auto"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Apply to x [B, H, W, I] and codes w [B, W] -> float32 [B, H, W, features], or twice the size with `up`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        style = EqualDense(x.shape[-1], bias_init=1.0, name="affine")(w)
        options = {"demodulate": self.demodulate, "up": self.up, "lowering": self.lowering}
        return style_conv(x.astype(self.dtype), kernel, style, 1 / math.sqrt(math.prod(shape[:3])), **options)


class StyleConv(nn.Module):
    """A modulated 3x3 convolution, noise of one learned strength (initially 0), bias, leaky ReLU.

    Attributes: as `ModulatedConv`.
    """

    features: int
    up: Taps = ()
    lowering: Lowering = "auto"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array | None) -> jax.Array:
        """Apply as `ModulatedConv`, with noise [1 or B, H', W', 1] of the output's size or None; of `dtype`."""
        y = ModulatedConv(self.features, up=self.up, lowering=self.lowering, dtype=self.dtype, name="conv")(x, w)
        strength = self.param("noise_strength", nn.initializers.zeros, (), jnp.float32)
        if noise is not None:
            y = y + strength * noise
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return leaky(add_bias(y, bias)).astype(self.dtype)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to colours, without demodulation, and a bias.

    Attributes:
      channels: 3 for RGB.
      dtype: compute dtype of the convolution.
    """

    channels: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Apply to x [B, H, W, I] and codes w [B, W] -> float32 [B, H, W, channels]."""
        y = ModulatedConv(self.channels, size=1, demodulate=False, dtype=self.dtype, name="conv")(x, w)
        return add_bias(y, self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32))
