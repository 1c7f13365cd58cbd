"""Resizing by averaging, as PyTorch does it."""

import jax
import jax.numpy as jnp
import numpy as np


def adaptive_average(image: jax.Array, side: int) -> jax.Array:
    """Resize as PyTorch's `AdaptiveAvgPool2d`.

    Output pixel i is the mean of the input pixels floor(i n / side) to ceil((i + 1) n / side) - 1 of n, so that
    neighbours may share some.

    Args:
      image: [B, H, W, C].
      side: of the output.

    Returns:
      [B, side, side, C].
    """
    rows, columns = (jnp.asarray(_averages(size, side), image.dtype) for size in image.shape[1:3])
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, image, precision="highest")


def _averages(size: int, side: int) -> np.ndarray:
    """Return the matrix [side, size] of the averages along one axis."""
    begin, end = (np.arange(side) * size) // side, -(-(np.arange(side) + 1) * size // side)
    at = np.arange(size)[None]
    inside = (at >= begin[:, None]) & (at < end[:, None])
    return inside / inside.sum(axis=1, keepdims=True)
