"""Leakage probe: how well one slice of a code predicts where the OTHER regions lie, or their colours (ours).

A ridge regression from features of one slice to the layout of the other regions, scored by leave-one-out. A slice that
holds its own part alone still tells something: its own outline bounds its neighbours. Three values therefore stand
beside it: the same probe on the whole code, on the region's true mask alone, and the mean layout (score 0).
"""

import itertools
from collections.abc import Sequence

import numpy as np

PENALTIES = np.logspace(-3, 3, 13)
"""Ridge penalties, relative to the mean eigenvalue of the Gram matrix; the best by leave-one-out is taken."""
GRID = 8
"""Codes and layouts are averaged to GRID x GRID cells."""


def pool(maps: np.ndarray, grid: int = GRID) -> np.ndarray:
    """Average [B, h, w, C] over a grid of cells as equal as the size allows -> float32 [B, grid * grid * C].

    A map smaller than the grid keeps its size.
    """
    b, h, w = maps.shape[:3]

    def cells(size: int) -> np.ndarray:
        edges = np.linspace(0, size, min(grid, size) + 1).round().astype(int)
        at = np.arange(size)
        return np.array([(at >= start) & (at < stop) for start, stop in itertools.pairwise(edges)], np.float32)

    rows, columns = (m / m.sum(axis=1, keepdims=True) for m in (cells(h), cells(w)))
    return np.einsum("ih,jw,bhwc->bijc", rows, columns, maps, optimize=True).reshape(b, -1)


def explained(features: np.ndarray, targets: np.ndarray) -> float:
    """Return the share of variance that ridge regression explains in examples it has not seen.

    1 - sum |y - y'|^2 / sum |y - m'|^2, with y' the prediction and m' the mean of all OTHER examples (leave-one-out by
    the closed form of kernel ridge regression). Features are standardised. 0 = no better than the mean; it may be
    negative; 1 = exact.

    Args:
      features: [N, D].
      targets: [N, T].

    Returns:
      a float, the best over PENALTIES; 0 if the targets are constant.
    """
    count = len(features)
    x = features - features.mean(axis=0)
    x = (x / np.maximum(x.std(axis=0), 1e-6 + 1e-3 * np.abs(x).max(initial=0.0))).astype(np.float64)
    y = (targets - targets.mean(axis=0)).astype(np.float64)
    total = np.sum(y**2) * (count / (count - 1)) ** 2  # the mean of the others is further away than the mean of all
    if not total > 0:
        return 0.0
    values, vectors = np.linalg.eigh(x @ x.T)
    values, rotated = np.maximum(values, 0.0), vectors.T @ y
    scale = max(values.mean(), 1e-12)
    errors = []
    for penalty in PENALTIES * scale:
        # Hat matrix of ridge with an intercept: H = 1/N + X (X'X + p)^-1 X'; residual_i / (1 - H_ii) is left out.
        shrink = values / (values + penalty)
        fitted = vectors @ (shrink[:, None] * rotated)
        leverage = 1 / count + np.einsum("ij,j,ij->i", vectors, shrink, vectors)
        errors.append(np.sum(((y - fitted) / np.maximum(1 - leverage, 1e-6)[:, None]) ** 2))
    return float(1 - min(errors) / total)


def probe(features: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> dict:
    """Probe every slice.

    Args:
      features: [N, K, D], of each slice, N examples.
      truth: [N, K, T], what is true of the region of each slice: where it lies, or its mean colour.
      names: K names.

    Returns:
      `slices` {name: `alone`, `whole`, `own_truth`}: variance of the truth of the OTHER regions explained by the slice,
      by all slices together and by the truth of its own region; `alone` and `whole`: their means over the slices
      (negative scores count as 0); `leakage` = `alone` / `whole`, and `own_truth` the same of the own regions' truth,
      for comparison. None with fewer than 8 examples.
    """
    count = len(features)
    if count < 8:
        return {"leakage": None, "own_truth": None, "alone": None, "whole": None, "slices": {}}
    everything, found = features.reshape(count, -1), {}
    for k, name in enumerate(names):
        others = np.delete(truth, k, axis=1).reshape(count, -1)
        sources = {"alone": features[:, k], "whole": everything, "own_truth": truth[:, k]}
        found[name] = {which: explained(x, others) for which, x in sources.items()}
    alone, whole, own = (
        float(np.mean([max(each[which], 0.0) for each in found.values()])) for which in ("alone", "whole", "own_truth")
    )
    leak, outline = (mean / whole if whole > 0 else None for mean in (alone, own))
    return {"leakage": leak, "own_truth": outline, "alone": alone, "whole": whole, "slices": found}
