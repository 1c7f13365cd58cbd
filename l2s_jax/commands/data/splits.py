"""Scan every split of the named data; shared by `check` and `stats`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console

from input_pipeline import datasets, specs
from input_pipeline.audit.issues import ScannedSplit
from input_pipeline.audit.scan import scan
from input_pipeline.errors import require
from input_pipeline.types import Source
from l2s_jax import progress


class Opened(NamedTuple):
    """An opened split with its name, "" if the data set has no splits."""

    split: str
    source: Source


def open_splits(data: Sequence[str]) -> dict[str, Opened]:
    """Open every split of the data sets, by a short title: the split's name if there is one data set.

    Faces with a missing file are left out and listed in the sources' `problems`; masks may be absent.

    Raises:
      UserError: data are missing, or named twice.
    """
    found: dict[str, Opened] = {}
    for spec in data:
        for split, source in datasets.open_splits(spec, require_masks=False, strict=False).items():
            title = split if len(data) == 1 else specs.with_split(spec, split)
            require(title not in found, f"'{spec}' is named twice: name every data set once")
            found[title] = Opened(split, source)
    return found


def scan_splits(splits: Mapping[str, Opened], jobs: int | None, screen: Console) -> dict[str, ScannedSplit]:
    """Read every face once, under a progress bar, and return its statistics."""
    result, done, total = {}, 0, sum(len(opened.source) for opened in splits.values())
    with progress.shown(screen, "reading faces") as show:

        def count(faces: int) -> None:
            nonlocal done
            done += faces
            show(done, total)

        for title, (_, source) in splits.items():
            result[title] = ScannedSplit(source, scan(source, jobs=jobs, progress=count))
    return result
