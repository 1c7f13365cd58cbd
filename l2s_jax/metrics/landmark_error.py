"""Errors of landmarks: normalised mean error (300-W, Sagonas et al. 2016), pixels, failures. numpy, float64."""

from collections.abc import Mapping

import numpy as np

OUTER_EYES: Mapping[int, tuple[int, int]] = {68: (36, 45), 70: (36, 45), 106: (66, 79)}
"""The outer corners of the eyes by number of points of the scheme (`input_pipeline.landmarks`)."""
FAILURE = 0.1
"""Normalised error above which a face counts as failed."""


def normalised_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Compute the mean distance of the points of each face, divided by the true distance of its outer eye corners.

    Args:
      found, true: [N, K, 2] in any unit, K a key of `OUTER_EYES`.

    Returns:
      float64 [N].
    """
    first, second = OUTER_EYES[true.shape[1]]
    true = np.asarray(true, np.float64)
    return distances(found, true).mean(axis=1) / np.linalg.norm(true[:, first] - true[:, second], axis=1)


def distances(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Compute the distance of every point, [N, K, 2] -> float64 [N, K]."""
    return np.linalg.norm(np.asarray(found, np.float64) - np.asarray(true, np.float64), axis=-1)


def landmark_scores(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Compute the scores of some faces.

    Args:
      found, true: [N, K, 2] pixels, K a key of `OUTER_EYES`.

    Returns:
      `nme`, the mean of `normalised_errors`; `pixels`, the mean distance; `failures`, the share of faces whose
      normalised error is above `FAILURE`.
    """
    errors = normalised_errors(found, true)
    return {
        "nme": float(errors.mean()),
        "pixels": float(distances(found, true).mean()),
        "failures": float(np.mean(errors > FAILURE)),
    }
