"""The kinds of data that a source spec can name, and how each is opened; each imports what it needs when it is used."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from etils import epath

from input_pipeline import layouts
from input_pipeline.errors import UserError, nearest
from input_pipeline.splits import check_split

if TYPE_CHECKING:  # sources.py stands on this file
    from input_pipeline.sources import Source


class Options(NamedTuple):
    """What `open_source` was asked for beside the spec: its arguments of the same names."""

    size: int | None
    seed: int
    require_masks: bool
    strict: bool
    root: str = ""


class Kind(NamedTuple):
    """How data of one kind are read.

    Attributes:
      splits: where -> the names of the splits; () for data that are not divided. Raises UserError.
      open: (where, split, options) -> source; the split is "" where the spec names none. Raises UserError.
    """

    splits: Callable[[str], Sequence[str]]
    open: Callable[[str, str, Options], "Source"]


def get(name: str) -> Kind:
    """The kind called `name`: `synthetic`, `records`, `tfds`, or a layout as `NAME` or `NAME/VARIANT`.

    Raises:
      UserError: no such kind; the sentence names the nearest one.
    """
    if name in _KINDS:
        return _KINDS[name]
    if name.partition("/")[0] in layouts.NAMES:
        return Kind(functools.partial(_layout_splits, name), functools.partial(_open_layout, name))
    known = sorted((*_KINDS, *layouts.NAMES))
    hint = nearest(name, known, f"the kinds are {', '.join(known)}", cutoff=0.6)
    raise UserError(f"cannot read data of kind '{name}': {hint}")


def placed(kind: str, where: str, root: str) -> str:
    """WHERE of a spec with its folder in `root`, unless that is absolute or in a bucket, or the kind has none."""
    if kind == "tfds":
        folder, mark, name = where.rpartition("#")
        return f"{placed('', folder, root)}{mark}{name}" if mark else where
    alone = kind == "synthetic" or where.startswith("~") or "://" in where
    return where if alone or not root else os.path.join(root, where)


def _open_synthetic(where: str, split: str, options: Options) -> "Source":
    if not where.isascii() or not where.isdigit() or not 0 < int(where) <= 100_000_000:
        raise UserError(f"'{where}' is not a number of faces: write for example 'synthetic:2000?train'")
    from input_pipeline.synthetic import SyntheticSource

    return SyntheticSource(count=int(where), size=options.size or 128, seed=options.seed, split=split or "train")


def _records_splits(where: str) -> Sequence[str]:
    from input_pipeline.records import source

    return source.splits(where)


def _open_records(where: str, split: str, options: Options) -> "Source":
    from input_pipeline.records.source import RecordsSource

    return RecordsSource(where, split, require_masks=options.require_masks)


def _tfds_splits(where: str) -> Sequence[str]:
    from input_pipeline import tfds_prepared

    return tfds_prepared.splits(where)


def _open_tfds(where: str, split: str, options: Options) -> "Source":
    from input_pipeline.tfds_source import TfdsSource

    check_split("tfds", where, split, _tfds_splits(where))
    return TfdsSource(where, split, require_masks=options.require_masks)


def _layout_splits(name: str, where: str) -> Sequence[str]:
    layout, _ = layouts.get(name)
    root = _folder(where)
    with _records_named(root):
        return layout.splits(root)


def _open_layout(name: str, where: str, split: str, options: Options) -> "Source":
    from input_pipeline.layouts.contract import licence_of
    from input_pipeline.layouts.source import LayoutSource

    layout, variant = layouts.get(name)
    root = _folder(where)
    with _records_named(root):
        if not split:  # layouts refuse unknown splits themselves: some know words beyond those they list
            check_split(name, where, split, layout.splits(root))
        raw = layout.open(root, split, variant)
    licence = licence_of(layout, raw)
    return LayoutSource(raw, licence, require_masks=options.require_masks, strict=options.strict)


def _folder(where: str) -> epath.Path:
    """The folder at a local path or in a bucket; a shell leaves the `~` in `folder:~/faces` to us."""
    path = epath.Path(where).expanduser()
    try:
        found = path.is_dir()
    except ImportError as error:
        raise UserError(f"'{where}' cannot be reached ({error}): install the package that reads such paths") from error
    if not found:
        raise UserError(f"the folder '{where}' does not exist: check the path")
    return path


@contextlib.contextmanager
def _records_named(root: epath.Path) -> Iterator[None]:
    """Says so where the folder that does not look like a layout's holds records."""
    from input_pipeline.records import plan

    try:
        yield
    except UserError as error:
        if (root / plan.FILE).is_file():
            raise UserError(f"'{root}' holds records: name them as 'records:{root}'") from error
        raise


_KINDS = {
    "synthetic": Kind(lambda where: (), _open_synthetic),  # streams, each of any length
    "records": Kind(_records_splits, _open_records),
    "tfds": Kind(_tfds_splits, _open_tfds),
}
