"""Open data by a spec, `KIND:WHERE[?SPLIT][START:STOP]`."""

import contextlib
import functools
import importlib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from etils import epath

from input_pipeline.errors import UserError, lookup
from input_pipeline.readers import downloads
from input_pipeline.readers.records import plan
from input_pipeline.selection import Subset
from input_pipeline.specs import Spec, parse_mixture, parse_spec
from input_pipeline.types import OpenOptions, Source, Weighted

READERS = {
    "synthetic": "input_pipeline.synthetic.source",
    "random": "input_pipeline.readers.random_numbers",
    "records": "input_pipeline.readers.records.source",
    "tfds": "input_pipeline.readers.tfds.source",
}
"""Kind of data -> module with `splits` and `open_split`, imported on first use: importing TFDS takes a second."""
DOWNLOADS = "input_pipeline.readers.downloads.source"
"""The reader of all raw layouts; its functions take the layout's name first."""


class DatasetReader(NamedTuple):
    """The functions that read data of one kind.

    Attributes:
      splits: where -> the names of the splits; () for data without splits. Raises UserError.
      open: (where, split, options) -> source; the split is "" if the spec names none. Raises UserError.
    """

    splits: Callable[[str], Sequence[str]]
    open: Callable[[str, str, OpenOptions], Source]


def open_source(spec: str, **options) -> Source:
    """Open the source that a spec names.

    Args:
      spec: `KIND:WHERE[?SPLIT][START:STOP]`; docs/architecture.md lists the kinds.
      options: the fields of `types.OpenOptions`.

    Raises:
      UserError: a malformed spec, an unknown kind or split, or data that is missing or incomplete.
    """
    parsed = parse_spec(spec)
    return _open_part(parsed, parsed.split or "", OpenOptions(**options))


def open_splits(spec: str, **options) -> dict[str, Source]:
    """Open every split of the data that a spec names, or the one split it names.

    Args:
      spec: as in `open_source`; a slice applies to each split.
      options: those of `open_source`.

    Returns:
      split -> source; the key is "" for data without splits.

    Raises:
      UserError: as `open_source`.
    """
    parsed = parse_spec(spec)
    found = [parsed.split] if parsed.split else find_reader(parsed.kind).splits(parsed.where)
    return {split: _open_part(parsed, split, OpenOptions(**options)) for split in found or [""]}


def _open_part(parsed: Spec, split: str, options: OpenOptions) -> Source:
    where = placed(parsed.kind, parsed.where, options.root)
    source = find_reader(parsed.kind).open(where, split, options)
    whole = parsed.start is None and parsed.stop is None
    return source if whole else Subset(source, parsed.start, parsed.stop)


def open_mixture(text: str, **options) -> list[Weighted]:
    """Open the weighted sources of `[NUMBER*]SPEC + [NUMBER*]SPEC ...`, as in
    `0.7*records:A?train + 0.3*synthetic:2000`.

    Args:
      text: specs joined by a plus sign between spaces; a spec without a number has weight 1.
      options: those of `open_source`.

    Raises:
      UserError: an empty spec, a weight that is not a positive number, and as `open_source`.
    """
    return [Weighted(weight, open_source(spec, **options)) for weight, spec in parse_mixture(text)]


def find_reader(name: str) -> DatasetReader:
    """Return the reader of a kind: `synthetic`, `records`, `tfds`, or a layout as `NAME` or `NAME/VARIANT`.

    Raises:
      UserError: no such kind; the sentence suggests the nearest one.
    """
    base = name.partition("/")[0]
    modules = {**dict.fromkeys(downloads.NAMES, DOWNLOADS), **READERS}
    path = lookup(modules, base if base in downloads.NAMES else name, "kind of data", cutoff=0.6)
    module = importlib.import_module(path)
    if path != DOWNLOADS:
        return DatasetReader(module.splits, module.open_split)
    functions = (module.splits, module.open_split)
    return DatasetReader(*(functools.partial(_unless_records, read, name) for read in functions))


def placed(kind: str, where: str, root: str) -> str:
    """Resolve the folder of a spec against `root`, unless it is absolute or in a bucket, or the kind has no folder."""
    if kind == "tfds":
        folder, mark, name = where.rpartition("#")
        return f"{placed('', folder, root)}{mark}{name}" if mark else where
    alone = kind in ("synthetic", "random") or where.startswith("~") or "://" in where
    return where if alone or not root else os.path.join(root, where)


def _unless_records(read: Callable, name: str, where: str, *rest):
    """Return `read(name, where, ...)`; if that fails and the folder holds records, raise an error that says so."""
    try:
        return read(name, where, *rest)
    except UserError as error:
        with contextlib.suppress(ImportError):  # a bucket whose reader is not installed: the first error says so
            if (epath.Path(where).expanduser() / plan.FILE).is_file():
                raise UserError(f"'{where}' holds records: name them as 'records:{where}'") from error
        raise
