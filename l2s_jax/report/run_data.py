"""Read what a workdir holds: files of our own, which a kill, a full disk or an editor may have damaged."""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from input_pipeline import files, labels
from input_pipeline.errors import UserError, require
from input_pipeline.labels import Label, LabelSet

_MAX_TEXT = 256 << 20
_MAX_ARRAYS = 1 << 30
_AGAIN = "delete it and run the command that wrote it"
_ARRAYS = (
    *("confusion", "slices", "effect", "effect_unmatted", "random_effect", "random_effect_unmatted"),
    *("image", "truth", "prediction", "confidence", "reconstruction", "regions", "swaps"),
    *("triangle", "triangle_donors", "traversals", "traversal_positions"),
)

GRID = "grid/"
"""Beginning of the name of a grid of pictures, uint8 [rows, columns, H, W, 3]; the rest is its title."""


@dataclasses.dataclass(frozen=True)
class RunData:
    """What there is to report on. A part that the workdir lacks is empty (or None).

    Attributes:
      config: the resolved config.
      label_set: the classes of the arrays, None where the config does not say.
      history: rows of metrics.jsonl: `step` and finite scalars by name.
      unreadable_rows: lines of metrics.jsonl that are no row (a killed run leaves half a line).
      metrics: the evaluation, nested.
      arrays: arrays of evaluation.npz.
      licence: of the exported model.
    """

    config: Mapping[str, Any]
    label_set: LabelSet | None
    history: Sequence[Mapping[str, float]]
    unreadable_rows: int
    metrics: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    licence: str | None


def read(workdir: Path) -> RunData:
    """Read the reportable files of a workdir.

    Args:
      workdir: folder written by `l2s train`, `l2s demo` or `l2s evaluate`.

    Returns:
      RunData.

    Raises:
      UserError: there is neither a history nor an evaluation, or a file of the workdir is damaged.
    """
    metrics = _read_object(workdir / "metrics.json")
    history, unreadable = _read_history(workdir / "metrics.jsonl")
    require(
        metrics or history,
        f"nothing to report in '{workdir}': it holds neither metrics.jsonl nor metrics.json "
        f"(make them with: l2s demo --workdir {workdir})",
    )
    config = _read_object(workdir / "config.json")
    name = config.get("label_set")
    if name is not None and not isinstance(name, str):
        raise UserError(f"'{workdir / 'config.json'}' is damaged: label_set is not the name of a label set")
    label_set = None if name is None else labels.get(name)
    arrays = _read_arrays(workdir / "evaluation.npz")
    licence = _read_object(workdir / "model" / "model.json").get("licence")
    licence = licence if isinstance(licence, str) else None
    return RunData(config, label_set, history, unreadable, metrics, arrays, licence)


def _read_object(path: Path) -> dict[str, Any]:
    return files.read_object(path, _MAX_TEXT, "file of l2s", remedy=_AGAIN) if path.is_file() else {}


def _read_history(path: Path) -> tuple[list[dict[str, float]], int]:
    if not path.is_file():
        return [], 0
    rows, unreadable = [], 0
    text = files.read_limited(path, _MAX_TEXT, "file of l2s", remedy=_AGAIN).decode("utf-8-sig", "replace")
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and is_number(row.get("step")):
            rows.append({key: float(value) for key, value in row.items() if is_number(value)})
        else:
            unreadable += 1
    return rows, unreadable


def is_number(value: Any) -> bool:
    """Tell whether a JSON value is a finite number (booleans are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if sum(entry.file_size for entry in arrays.zip.infolist()) > _MAX_ARRAYS:
                raise ValueError(f"it claims to hold more than {_MAX_ARRAYS >> 20} MiB")
            return {name: arrays[name] for name in arrays if name in _ARRAYS or name.startswith(GRID)}
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(f"'{path}' is damaged ({error}): run l2s evaluate again") from None


def slice_labels(arrays: Mapping[str, np.ndarray], label_set: LabelSet) -> tuple[Label, ...]:
    """Return the class of each slice: the array `slices`, or all classes in order where the evaluation has none."""
    return tuple(label_set.labels[c] for c in arrays.get("slices", range(len(label_set))))
