"""Smooth random fields: one-dimensional strand tables and two-dimensional value noise."""

import numpy as np

from input_pipeline.synthetic import rng


def value_noise(key: int, rows: np.ndarray, columns: np.ndarray, cells: int) -> np.ndarray:
    """float32 [h, w] in [0, 1): random values on a cells x cells lattice, bilinear in between.

    Args:
      key: of the lattice.
      rows: float32 [h], columns: float32 [w]: positions in [0, 1).
      cells: lattice cells along the image side.
    """
    lattice = rng.uniforms(key, (cells + 1) ** 2).astype(np.float32).reshape(cells + 1, cells + 1)
    y, x = rows * np.float32(cells), columns * np.float32(cells)
    i, j = y.astype(np.int64), x.astype(np.int64)
    fy, fx = _ease(y - i.astype(np.float32))[:, None], _ease(x - j.astype(np.float32))
    across = lattice[:, j] + fx * (lattice[:, j + 1] - lattice[:, j])
    return across[i] + fy * (across[i + 1] - across[i])


def strands(table: np.ndarray, position: np.ndarray) -> np.ndarray:
    """float32 like `position`: a table of random values [256], linearly interpolated and repeated for ever."""
    whole = np.floor(position)
    share = position - whole
    index = whole.astype(np.int64) & 255
    low = table[index]
    return low + share * (table[(index + 1) & 255] - low)


def strand_table(key: int) -> np.ndarray:
    """float32 [256] in [-1, 1)."""
    return (2.0 * rng.uniforms(key, 256) - 1.0).astype(np.float32)


def _ease(t: np.ndarray) -> np.ndarray:
    return t * t * (3.0 - 2.0 * t)
