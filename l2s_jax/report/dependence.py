"""Draw the measured dependence between slices beside its null, whatever samples and measures metrics.json names."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2s_jax.report import plots
from l2s_jax.report.run_data import is_number
from l2s_jax.report.svg import Titled
from l2s_jax.report.tables import group, number

_TITLES = {"rv": "RV coefficient", "hsic": "normalised HSIC", "dcor": "distance correlation, squared"}
_BESIDE = {"mean": "mean", "null": "null", "null_max": "null max"}


def dependence_maps(scores: Mapping[str, Any]) -> dict[str, list[Titled]]:
    """Draw every matrix in `scores["dependence"]`; entries that are none are left out.

    Args:
      scores: `disentanglement` of metrics.json, untrusted.

    Returns:
      matrices by sample, both as the file names them, with blanks for underscores; the remark of each says how many
      pairs are above the null.
    """
    found = {}
    for sample in group(scores, "dependence"):
        drawn = [_draw(scores, sample, name) for name in group(scores, "dependence", sample)]
        if matrices := [matrix for matrix in drawn if matrix is not None]:
            found[_plain(sample)] = matrices
    return found


def _draw(scores: Mapping[str, Any], sample: str, name: str) -> Titled | None:
    entry = group(scores, "dependence", sample, name)
    pairs = _square(entry.get("pairs"))
    if pairs is None:
        return None
    title, count = _TITLES.get(name, _plain(name)), len(pairs)
    values = {shown: number(entry, key) for key, shown in _BESIDE.items()}
    limit = values["null max"]
    above, total = "", count * (count - 1) // 2
    if limit is not None:
        above = f"{int(np.sum(pairs[np.triu_indices(count, k=1)] > limit))} of {total} pairs above the largest null"
    known = {shown: value for shown, value in values.items() if value is not None}
    label = f"{title} of pairs of slices, {_plain(sample)}"
    return Titled(title, plots.dependence(pairs, _names(scores, count), known, limit, label), above)


def _square(value: Any) -> np.ndarray | None:
    """Return a nested list as float64 [K, K] if it is square and all its entries are finite numbers."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        return None
    if any(len(row) != len(value) or not all(map(is_number, row)) for row in value):
        return None
    return np.array(value, np.float64)


def _names(scores: Mapping[str, Any], count: int) -> list[str]:
    names = scores.get("slices")
    fits = isinstance(names, list) and len(names) == count
    return [str(name) for name in names] if fits else [str(k) for k in range(count)]


def _plain(name: str) -> str:
    return name.replace("_", " ")
