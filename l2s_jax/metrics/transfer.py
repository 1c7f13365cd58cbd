"""Scores of identity transfer: who a face shows, what it keeps of the attribute image, and what leaks from where.

docs/methods/id_disentanglement.md, "Evaluation". All functions are numpy in float64.
"""

import numpy as np


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the correlation of each column of x [N, F] with that of y [N, F] -> [F]; 0 for a constant column."""
    x, y = (np.asarray(each, np.float64) - np.mean(each, axis=0, dtype=np.float64) for each in (x, y))
    size = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    return np.where(size > 1e-9, (x * y).sum(axis=0) / np.maximum(size, 1e-9), 0.0)


def transfer_score(identity: float, attributes: float, landmarks: float, unswapped: float) -> float:
    """Compute what no shortcut wins: cos(out, identity) - cos(out, attributes) - landmark error / that of no transfer.

    The identity image itself gets about 1 - 0 - 1, the attribute image 0 - 1 - 0, a mean face less than 0.

    Args:
      identity: mean cosine of the output and the identity image.
      attributes: mean cosine of the output and the attribute image.
      landmarks: mean distance of the landmarks of the output and the attribute image.
      unswapped: the same of identity image and attribute image, which would be the error without any transfer.
    """
    return float(identity - attributes - landmarks / unswapped)
