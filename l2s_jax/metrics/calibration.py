"""How far a confidence can be believed: reliability and expected calibration error (arXiv 1706.04599, section 2)."""

import numpy as np

BINS = 15
"""Intervals of equal width that confidences from 0 to 1 are sorted into (the paper's number)."""


def reliability_sums(probabilities: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Count pixels by confidence.

    Args:
      probabilities: float32 [..., K], of each class; the confidence is the largest.
      truth: int [...], class ids; whatever where not `valid`.
      valid: bool [...], the pixels that count.

    Returns:
      float64 [BINS, 3]: number of pixels, sum of their confidences, number of right ones. Add up over batches.
    """
    confidence = probabilities.max(axis=-1)[valid].astype(np.float64)
    right = (probabilities.argmax(axis=-1) == truth)[valid]
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return np.stack([np.bincount(place, weights, BINS) for weights in (None, confidence, right)], axis=-1)


def summary(sums: np.ndarray) -> dict:
    """Summarise counts like `reliability_sums`, ready for JSON.

    Returns:
      `ece`: the mean over pixels of |share of right ones - mean confidence| of their interval, in [0, 1]; None without
      pixels. `intervals`: a list of {confidence, accuracy, share} of the intervals that have pixels.
    """
    filled = sums[sums[:, 0] > 0]
    pixels = filled[:, 0].sum()
    rows = [
        {"confidence": float(confidence / count), "accuracy": float(right / count), "share": float(count / pixels)}
        for count, confidence, right in filled
    ]
    error = sum(row["share"] * abs(row["accuracy"] - row["confidence"]) for row in rows)
    return {"ece": error if rows else None, "intervals": rows}
