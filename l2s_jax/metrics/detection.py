"""Scores of found faces: which detections find one, precision over recall. numpy, float64."""

from collections.abc import Mapping

import numpy as np

OFF, FACTOR = 0.25, 1.5
"""Distance of the middles, in sides of the face, and ratio of the sides up to which a detection finds a face."""


def matched(found: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give every detection of a picture, the surest first, the nearest face that no other has.

    Args:
      found: `score` [N], `middle` [N, 2], `side` [N].
      true: `middle` [F, 2], `side` [F], `whole` bool [F] (to be found), `hidden` bool [F] (may be found).

    Returns:
      int [N], the face or -1, and bool [N]: the detection counts (it does not if it finds a hidden face).
    """
    owner, counts = np.full(len(found["score"]), -1), np.ones(len(found["score"]), bool)
    if not len(true["side"]):
        return owner, counts
    away = np.abs(found["middle"][:, None] - true["middle"][None]).max(axis=2) / true["side"][None]
    ratio = np.abs(np.log(np.maximum(found["side"][:, None], 1e-9) / np.maximum(true["side"][None], 1e-9)))
    fits = (away < OFF) & (ratio < np.log(FACTOR))
    free = true["whole"].astype(bool)
    for n in np.argsort(-found["score"], kind="stable"):
        mine = fits[n] & free
        if mine.any():
            owner[n] = np.where(mine, away[n], np.inf).argmin()
            free[owner[n]] = False
        else:
            counts[n] = not ((away[n] < OFF) & true["hidden"].astype(bool)).any()
    return owner, counts


def precision_and_recall(score: np.ndarray, hit: np.ndarray, faces: int) -> dict[str, float]:
    """Compute the scores of detections [N] of all pictures, `hit` bool [N], among so many `faces`.

    Returns:
      `average_precision`: the area under the greatest precision at each recall or above it (as of PASCAL VOC 2010); and
      at the `threshold` of the score with the best `f1`: this, `recall`, `precision`. All 0 without any face found.
    """
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(hit[order])
    recall, precision = hits / max(faces, 1), hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    names = ("average_precision", "threshold", "f1", "recall", "precision")
    if not hits.size or not hits[-1]:
        return dict.fromkeys(names, 0.0)
    f1 = 2 * hits / (faces + np.arange(1, len(hits) + 1))
    at = f1.argmax()
    area = np.sum(np.diff(recall, prepend=0) * best)
    return dict(zip(names, map(float, (area, score[at], f1[at], recall[at], precision[at])), strict=True))
