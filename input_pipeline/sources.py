"""Random-access sources of faces, and `open_source`, which finds one by its spec `KIND:WHERE[?SPLIT][START:STOP]`.

Sources are small, picklable and read-only: threads and worker processes share them freely.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet

Example = dict[str, np.ndarray]
"""`image` uint8 [H, W, 3]; `mask` uint8 [H, W] of class ids, 255 = ignore (absent without labels); optional `landmarks`
float32 [K, 2] (x, y) pixels with pixel centres at .5; optional `identity`, `attributes` float32 vectors."""


@runtime_checkable
class Source(Protocol):
    """What every source is; examples are the same arrays at every call and on every machine."""

    label_set: LabelSet
    names: Sequence[str]

    def __len__(self) -> int:
        """Number of examples."""

    def __getitem__(self, index: int) -> Example:
        """The example at 0 <= index < len(self)."""


@runtime_checkable
class ReducedSource(Source, Protocol):
    """A source that reads a smaller version of an image faster than the image."""

    def read_reduced(self, index: int, at_least: int) -> Example:
        """Like `self[index]`, but the image may be smaller than the mask, its longer side at least `at_least`."""


def read_reduced(source: Source, index: int, at_least: int) -> Example:
    """The example at `index`, its image possibly decoded small (see `ReducedSource`) where the source knows how to."""
    return source.read_reduced(index, at_least) if isinstance(source, ReducedSource) else source[index]


class Subset:
    """The examples `start <= i < stop` of another source, for holding out a part of it.

    Args:
      source: any source.
      start, stop: as in a Python slice: None is the end, negative numbers count from it.

    Raises:
      UserError: the slice holds no example.
    """

    def __init__(self, source: Source, start: int | None, stop: int | None):
        self.source = source
        self.range = range(*slice(start, stop).indices(len(source)))
        if not self.range:
            slice_text = f"[{'' if start is None else start}:{'' if stop is None else stop}]"
            raise UserError(f"the slice {slice_text} of {len(source)} examples is empty: widen it")
        self.label_set = source.label_set
        self.names = source.names[self.range.start : self.range.stop]

    def __len__(self) -> int:
        return len(self.range)

    def __getitem__(self, index: int) -> Example:
        return self.source[self.range[index]]

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `ReducedSource`."""
        return read_reduced(self.source, self.range[index], at_least)


class Spec(NamedTuple):
    """A parsed source spec.

    Attributes:
      kind: name in the registry.
      where: what that kind needs to find the data.
      split: part of the data, or None.
      start, stop: the Python slice of the split, or None.
    """

    kind: str
    where: str
    split: str | None
    start: int | None
    stop: int | None


_TAIL = re.compile(r"(?P<split>[\w.-]+)?(?P<slice>\[(?P<start>-?\d+)?:(?P<stop>-?\d+)?\])?")


def parse_spec(text: str) -> Spec:
    """Takes `KIND:WHERE[?SPLIT][START:STOP]` apart, e.g. `folder:DIR?train[0:700]` or `synthetic:2000?[:100]`.

    Raises:
      UserError: the text has another form.
    """
    kind, _, rest = text.partition(":")
    where, mark, tail = rest.rpartition("?") if "?" in rest else (rest, "", "")
    match = _TAIL.fullmatch(tail)
    if not kind or not where or match is None or (mark and not tail):
        raise UserError(
            f"'{text}' does not name a data set: write KIND:WHERE[?SPLIT], for example 'folder:faces?train', "
            "'folder:faces?train[0:700]' or 'synthetic:2000?val'"
        )
    start, stop = (None if match[key] is None else int(match[key]) for key in ("start", "stop"))
    return Spec(kind, where, match["split"], start, stop)


Opener = Callable[..., Source]
_OPENERS: dict[str, Opener] = {}


def source_kind(name: str) -> Callable[[Opener], Opener]:
    """Registers `opener(where, split, *, size, seed, require_masks) -> Source` as the reader of `NAME:...` specs."""

    def register(opener: Opener) -> Opener:
        _OPENERS[name] = opener
        return opener

    return register


def open_source(spec: str, *, size: int | None = None, seed: int = 0, require_masks: bool = True) -> Source:
    """The source that a spec names.

    Args:
      spec: `KIND:WHERE[?SPLIT][START:STOP]`; kinds and what they mean: docs/architecture.md.
      size: side of rendered faces, pixels (128 if None); photos keep their own size.
      seed: of rendered faces.
      require_masks: False also takes images without labels.

    Raises:
      UserError: a malformed spec, an unknown kind, or data that is not there or not whole.
    """
    kind, where, split, start, stop = parse_spec(spec)
    if kind not in _OPENERS:
        close = difflib.get_close_matches(kind, _OPENERS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"this version reads {' and '.join(sorted(_OPENERS))}"
        raise UserError(f"cannot read data of kind '{kind}' in '{spec}': {hint}")
    source = _OPENERS[kind](where, split, size=size, seed=seed, require_masks=require_masks)
    return source if start is None and stop is None else Subset(source, start, stop)


@source_kind("folder")
def _open_folder(where: str, split: str | None, *, size: int | None, seed: int, require_masks: bool) -> Source:
    from input_pipeline.folder import FolderSource

    return FolderSource(where, split, require_masks=require_masks)


@source_kind("synthetic")
def _open_synthetic(where: str, split: str | None, *, size: int | None, seed: int, require_masks: bool) -> Source:
    if not where.isascii() or not where.isdigit() or not 0 < int(where) <= 100_000_000:
        raise UserError(f"'{where}' is not a number of faces: write for example 'synthetic:2000?train'")
    from input_pipeline.synthetic import SyntheticSource

    return SyntheticSource(count=int(where), size=size or 128, seed=seed, split=split or "train")
