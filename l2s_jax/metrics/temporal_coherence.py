"""Temporal coherence: is it one person in all frames of a sequence? numpy, float64 (ours)."""

import numpy as np


def temporal_coherence(identity: np.ndarray) -> dict[str, float]:
    """Measure how still identities keep over the frames of a sequence.

    Args:
      identity: [N, D], rows of length 1 in the order of the frames, at least 2.

    Returns:
      `consecutive`: mean cosine between a frame and the next, 1 = no change; `variance`: mean squared distance from the
      mean identity, 1 - |mean|^2, 0 = no change. A slow drift shows in the second alone.
    """
    rows = np.asarray(identity, np.float64)
    distances = rows - rows.mean(axis=0, keepdims=True)
    return {
        "consecutive": float(np.mean(np.sum(rows[1:] * rows[:-1], axis=1))),
        "variance": float(np.mean(np.sum(distances**2, axis=1))),
    }
