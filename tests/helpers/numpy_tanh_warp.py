"""The tanh warp of points in NumPy, to compare l2s_jax/layers/tanh_warp.py with, where the formulas are."""

import numpy as np

from input_pipeline.images.resampling import invert
from l2s_jax.layers.tanh_warp import FACTOR, LIMIT

__all__ = ["FACTOR", "squash", "stretch", "unwarp_points", "warp_points"]


def squash(u: np.ndarray, factor: float) -> np.ndarray:
    """All of space into (-1, 1), the middle of it unchanged; see the module.

    Args:
      u: float, units of half the side.
      factor: 0 < f <= 1.
    """
    size, inner = np.abs(u), 1 - factor
    return np.where(size <= inner, u, np.sign(u) * (inner + factor * np.tanh((size - inner) / factor)))


def stretch(v: np.ndarray, factor: float) -> np.ndarray:
    """The inverse of `squash`, up to `LIMIT`.

    Args:
      v: float, units of half the side.
      factor: 0 < f <= 1.
    """
    size, inner = np.abs(v), 1 - factor
    # Clipped at 0 as well: artanh of the pixels that stay is computed, too, and must be a number.
    squeezed = np.clip((size - inner) / factor, 0, LIMIT)
    return np.where(size <= inner, v, np.sign(v) * (inner + factor * np.arctanh(squeezed)))


def warp_points(points: np.ndarray, matrix: np.ndarray, side: int, factor: float) -> np.ndarray:
    """Where points of the picture lie in the warped square: float64 [..., 2].

    Args:
      points: [..., 2] (x, y) pixels.
      matrix: float64 [2, 3], picture to aligned square (`landmarks.alignment_matrix`).
      side: of the square, pixels.
      factor: 0 < f <= 1, see `FACTOR`.
    """
    aligned = points @ matrix[:, :2].T + matrix[:, 2]
    return side / 2 * (squash(2 * aligned / side - 1, factor) + 1)


def unwarp_points(points: np.ndarray, matrix: np.ndarray, side: int, factor: float) -> np.ndarray:
    """The inverse of `warp_points`: [..., 2] pixels of the warped square -> float64 [..., 2] pixels of the picture."""
    aligned = side / 2 * (stretch(2 * np.asarray(points) / side - 1, factor) + 1)
    inverse = invert(matrix)
    return aligned @ inverse[:, :2].T + inverse[:, 2]
