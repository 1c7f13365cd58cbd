"""Convolutions that double or halve the map through a low-pass filter, each with two exact lowerings.

The lowerings compute the same function of the same weights, borders included (tests/layers/test_resample.py):

* `direct`: separate filter and convolution. Fewest multiplications; the choice for inference and for the forward and
  first backward pass of a discriminator.
* `folded`: the filter is folded into the kernel and the stride into the channels, so that an ordinary stride-1
  convolution remains. Four times the multiplications when doubling, yet several times faster to differentiate, because
  the gradients of dilated and strided convolutions are slow in XLA; the choice for training a generator and for R1.
* `auto`: for what is differentiated: `folded` on CPUs, where that was measured, `direct` elsewhere, where it was not.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.layers.fir import Taps, fir, normalized, pad

Lowering = Literal["direct", "folded", "auto"]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _folds(lowering: Lowering) -> bool:
    return lowering == "folded" or (lowering == "auto" and jax.default_backend() == "cpu")


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: str = "VALID") -> jax.Array:
    """Convolve x [B, H, W, I] with kernel [k, k, I, O] -> [B, H', W', O], in the dtype of x; padding SAME or VALID."""
    kernel = kernel.astype(x.dtype)
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)


def conv_down(x: jax.Array, kernel: jax.Array, taps: Taps, pad_mode: str, lowering: Lowering) -> jax.Array:
    """Halve the size: pad, low-pass, convolve with stride 2 (StyleGAN2, arXiv 1912.04958, residual discriminator).

    Args:
      x: [B, H, W, I], H and W even.
      kernel: float32 [k, k, I, O], k odd.
      taps: the low-pass filter.
      pad_mode: `zero` or `reflect`.
      lowering: see the module's docstring.

    Returns:
      [B, H/2, W/2, O].
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"a map of {x.shape[1]}x{x.shape[2]} cannot be halved")
    margin = len(taps) + kernel.shape[0] - 3
    x = pad(x, (margin + 1) // 2, margin // 2, pad_mode)
    if _folds(lowering):
        return _conv_down_folded(x, kernel, taps)
    if kernel.shape[0] == 1:
        return conv(fir(x, taps, stride=2), kernel)
    return conv(fir(x, taps), kernel, stride=2)


def _conv_down_folded(x: jax.Array, kernel: jax.Array, taps: Taps) -> jax.Array:
    size, _, inputs, outputs = kernel.shape
    odd = (size + len(taps) - 1) % 2  # an odd kernel gets one zero tap, which reads one more (zero) border pixel
    half = (size + len(taps) - 1 + odd) // 2
    blocks = _space_to_depth(jnp.pad(x, ((0, 0), (0, odd), (0, odd), (0, 0))))
    fold = _toeplitz(taps, size, 2 * half).reshape(half, 2, size)
    folded = jnp.einsum("tpa,uqb,abio->tupqio", fold, fold, kernel).reshape(half, half, 4 * inputs, outputs)
    return conv(blocks, folded)


def conv_up(x: jax.Array, kernel: jax.Array, taps: Taps, lowering: Lowering) -> jax.Array:
    """Double the size: transposed convolution of stride 2, then low-pass with gain 4, zero padding.

    As in StyleGAN2 (arXiv 1912.04958): t[2i + a] += x[i] kernel[a], then four symmetric taps with one zero on each
    side.

    Args:
      x: [B, H, W, I].
      kernel: float32 [3, 3, I, O].
      taps: four symmetric taps.
      lowering: see the module's docstring.

    Returns:
      [B, 2H, 2W, O].
    """
    if _folds(lowering):
        return _conv_up_folded(x, kernel, taps)
    spread = jax.lax.conv_general_dilated(
        x, kernel[::-1, ::-1].astype(x.dtype), (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=_LAYOUT
    )
    return fir(pad(spread, 1, 1, "zero"), taps, gain=4.0)


def _conv_up_folded(x: jax.Array, kernel: jax.Array, taps: Taps) -> jax.Array:
    # y[2j + p] = sum_i x[i] K[p + 2 - 2(i - j)] with K = kernel * filter (six taps): one 3x3 kernel per phase p.
    inputs, outputs = kernel.shape[2:]
    fold = 2.0 * _toeplitz(taps, 3, 6).reshape(3, 2, 3)[::-1]
    phases = jnp.einsum("tpa,uqb,abio->tuipqo", fold, fold, kernel).reshape(3, 3, inputs, 4 * outputs)
    return depth_to_space(conv(x, phases, padding="SAME"))


def _toeplitz(taps: Taps, size: int, length: int) -> np.ndarray:
    """Return the [length, size] matrix M of the convolution with the taps: (M w)[m] = sum_a taps[m - a] w[a]."""
    matrix = np.zeros((length, size), np.float32)
    for a in range(size):
        matrix[a : a + len(taps), a] = normalized(taps)
    return matrix


def _space_to_depth(x: jax.Array) -> jax.Array:
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)


def depth_to_space(x: jax.Array, factor: int = 2) -> jax.Array:
    """Rearrange [B, H, W, factor * factor * C] -> [B, factor * H, factor * W, C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // factor**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, factor * h, factor * w, c // factor**2)
