"""Binomial low-pass filters [1, 2, 1] and [1, 3, 3, 1] and bilinear doubling, as shifted additions.

A filter is a tuple of integer taps. It is applied per axis as a weighted sum of shifted views, which XLA fuses with its
neighbours; a depthwise convolution does the same work 10 to 100 times slower on CPU.
"""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

Taps = tuple[int, ...]


def normalized(taps: Taps) -> np.ndarray:
    """Return float64 [len(taps)] weights of one axis, summing to 1."""
    weights = np.asarray(taps, np.float64)
    return weights / weights.sum()


def pad(x: jax.Array, before: int, after: int, mode: str) -> jax.Array:
    """Pad both spatial axes of [B, H, W, C]; `mode` is `zero` or `reflect` (without repeating the border)."""
    widths = ((0, 0), (before, after), (before, after), (0, 0))
    return jnp.pad(x, widths, mode={"zero": "constant", "reflect": "reflect"}[mode])


def fir(x: jax.Array, taps: Taps, stride: int = 1, gain: float = 1.0) -> jax.Array:
    """Apply a separable filter without padding, keeping every `stride`-th output.

    Args:
      x: [B, H, W, C] of any float dtype.
      taps: T integer weights, normalised to sum 1 per axis.
      stride: distance of the outputs that are kept.
      gain: factor on the result (4 after zero insertion, so that the mean is kept).

    Returns:
      [B, ceil((H - T + 1) / stride), ceil((W - T + 1) / stride), C].
    """
    weights = normalized(taps) * gain**0.5
    return _fir_axis(_fir_axis(x, weights, stride, axis=1), weights, stride, axis=2)


def _fir_axis(x: jax.Array, weights: Sequence[float], stride: int, axis: int) -> jax.Array:
    length = x.shape[axis] - len(weights) + 1
    shifted = (jax.lax.slice_in_dim(x, i, i + length, stride, axis) for i in range(len(weights)))
    return sum(float(w) * s for w, s in zip(weights, shifted, strict=True))


def bilinear_double(x: jax.Array, border: Literal["repeat", "zero"] = "repeat") -> jax.Array:
    """Double the size by bilinear interpolation, pixel centres at .5 (`align_corners=False`).

    Args:
      x: [B, H, W, C].
      border: what lies beyond the border: its pixels again, or zeros, as where StyleGAN2 doubles its RGB image by zero
        insertion and the filter [1, 3, 3, 1] (arXiv 1912.04958).

    Returns:
      [B, 2H, 2W, C].
    """
    return _double_axis(_double_axis(x, 1, border), 2, border)


def _double_axis(x: jax.Array, axis: int, border: str) -> jax.Array:
    size = x.shape[axis]
    first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
    if border == "zero":
        first, last = jnp.zeros_like(first), jnp.zeros_like(last)
    previous = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    following = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    pair = jnp.stack([0.75 * x + 0.25 * previous, 0.75 * x + 0.25 * following], axis + 1)
    return pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
