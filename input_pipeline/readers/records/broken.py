"""Faces that cannot be stored: their full list as JSON lines, and a short summary for people."""

import collections
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from input_pipeline import files
from input_pipeline.types import Problem

FILE = "broken.jsonl"
SHOWN = 10
_KINDS = 1000  # distinct reasons that are counted separately; any more are counted together


class Broken(NamedTuple):
    """A summary of `broken.jsonl`.

    Attributes:
      count: number of faces.
      first: (split, problem) of at most `SHOWN` of them.
      reasons: reason without names and numbers -> number of faces, the most frequent first.
    """

    count: int
    first: tuple[tuple[str, Problem], ...]
    reasons: Mapping[str, int]


def write(folder: Path, problems: Iterable[tuple[str, Problem]]) -> Broken:
    """Write FOLDER/broken.jsonl, or remove it if there are none; `problems` are (split, problem), iterated once.

    Raises:
      UserError: the write fails.
    """
    path = folder / FILE
    first, reasons, count = [], collections.Counter(), 0
    with files.replacing(path) as part, part.open("w", encoding="ascii") as file:
        for split, problem in problems:
            file.write(json.dumps({"split": split, **problem._asdict()}) + "\n")
            count += 1
            if count <= SHOWN:
                first.append((split, problem))
            kind = kind_of(problem.reason)
            reasons[kind if kind in reasons or len(reasons) < _KINDS else "other reasons"] += 1
    if not count:
        path.unlink()
    return Broken(count, tuple(first), dict(reasons.most_common()))


def kind_of(reason: str) -> str:
    """Normalise a reason: quoted names become '...', numbers become N."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'|b?\"[^\"]*\"", "'...'", reason))[:200]
