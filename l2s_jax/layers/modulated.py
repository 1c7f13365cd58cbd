"""The modulated convolution of Swapping Autoencoder (arXiv 2007.00653), its noise, and the styled convolution.

Unlike in StyleGAN2, the style scales only the input and the weight is demodulated WITHOUT the style, so all rows of the
batch share one kernel and an ordinary convolution suffices.

Decoding K slices of each of B images takes K * B rows, where row n belongs to image n // K, while styles have B rows:
the affine layers of the style run once per image.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualDense, add_bias, leaky
from l2s_jax.layers.fir import Taps
from l2s_jax.layers.resample import Lowering, conv, conv_up

_EPS = 1e-8


def per_image(function, x: jax.Array, *styles: jax.Array) -> jax.Array:
    """Apply function(x [B, K, H, W, C], each style as [B, 1, 1, 1, C]) to x [B * K, H, W, C] and styles [B, C]."""
    rows = x.reshape(styles[0].shape[0], -1, *x.shape[1:])
    wide = [s[:, None, None, None, :].astype(x.dtype) for s in styles]
    return function(rows, *wide).reshape(x.shape)


class ModulatedConv(nn.Module):
    """A convolution whose input is scaled per channel by an affine function of the style.

    Attributes:
      features: output channels.
      size: kernel size, odd; 3 with `up`.
      demodulate: normalise the style to mean square 1 and each output channel's kernel to norm 1.
      up: taps of the low-pass filter after doubling; empty keeps the size.
      lowering: how the doubling is computed (layers/resample.py).
      dtype: compute dtype; style and demodulation stay in float32.
    """

    features: int
    size: int = 3
    demodulate: bool = True
    up: Taps = ()
    lowering: Lowering = "folded"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """Apply to x [B * K, H, W, I], style [B, S] -> [B * K, H, W, features], or twice the size with `up`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        gain = jnp.full(
            self.features, 1 / math.sqrt(math.prod(shape[:3])), jnp.float32
        )  # on the output: see layers/equalized.py
        scale = EqualDense(x.shape[-1], bias_init=1.0, name="affine")(style)
        if self.demodulate:
            scale = scale * jax.lax.rsqrt(jnp.mean(scale**2, axis=-1, keepdims=True) + _EPS)
            gain = gain * jax.lax.rsqrt(gain**2 * jnp.sum(kernel**2, axis=(0, 1, 2)) + _EPS)
        x = per_image(jnp.multiply, x.astype(self.dtype), scale)
        y = conv_up(x, kernel, self.up, self.lowering) if self.up else conv(x, kernel, padding="SAME")
        return y * gain.astype(y.dtype)[None, None, None, :]


class StyledConv(nn.Module):
    """A modulated 3x3 convolution with noise of one learned strength (initially 0), bias and activation.

    Attributes: as `ModulatedConv`.
    """

    features: int
    up: Taps = ()
    lowering: Lowering = "folded"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, noise: jax.Array | None) -> jax.Array:
        """Apply as `ModulatedConv`, with noise [1 or B * K, H', W', 1] at the size of the output, or None."""
        y = ModulatedConv(self.features, up=self.up, lowering=self.lowering, dtype=self.dtype, name="conv")(x, style)
        strength = self.param("noise_strength", nn.initializers.zeros, (), jnp.float32)
        if noise is not None:
            y = y + (strength * jnp.broadcast_to(noise, (*y.shape[:3], 1))).astype(y.dtype)
        return leaky(add_bias(y, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)))
