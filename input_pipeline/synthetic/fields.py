"""Smooth random fields: one-dimensional strand tables and two-dimensional value noise."""

import numpy as np

from input_pipeline.synthetic import rng


def value_noise(key: int, rows: np.ndarray, columns: np.ndarray, cells: int) -> np.ndarray:
    """Compute value noise, float32 [h, w] in [0, 1): random on a lattice, smooth in between, with a period of 32 cells.

    Args:
      key: of the lattice.
      rows: float32 [h] positions, in image sides.
      columns: float32 [w] positions, in image sides.
      cells: lattice cells along the image side.
    """
    lattice = rng.uniforms(key, 1024).astype(np.float32).reshape(32, 32)
    (i, below, fy), (j, right, fx) = (_cell(at * np.float32(cells)) for at in (rows, columns))
    near, far = lattice[:, j], lattice[:, right]
    across = near + fx * (far - near)
    upper = across[i]
    return upper + fy[:, None] * (across[below] - upper)


def strands(table: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return float32 like `position`: a table of random values [256], linearly interpolated, periodic."""
    whole = np.floor(position)
    share = position - whole
    index = whole.astype(np.int64) & 255
    low = table[index]
    return low + share * (table[(index + 1) & 255] - low)


def strand_table(key: int) -> np.ndarray:
    """Return float32 [256] in [-1, 1)."""
    return (2.0 * rng.uniforms(key, 256) - 1.0).astype(np.float32)


def _cell(position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lattice indices on both sides of a position and the eased weight of the second."""
    whole = np.floor(position)
    t = position - whole
    index = whole.astype(np.int64)
    return index & 31, (index + 1) & 31, t * t * (3.0 - 2.0 * t)
