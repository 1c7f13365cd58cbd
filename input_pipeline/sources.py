"""Random-access sources of faces, and `open_source`, which finds one by its spec `KIND:WHERE[?SPLIT][START:STOP]`.

Sources are small, picklable and read-only: threads and worker processes share them freely.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from input_pipeline import kinds, licences
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from input_pipeline.specs import Spec, parse_mixture, parse_spec

if TYPE_CHECKING:  # layouts.contract describes what sources stand on, and only its type is named here
    from input_pipeline.layouts.contract import Problem

Example = dict[str, np.ndarray]
"""`image` uint8 [H, W, 3]; `mask` uint8 [h, w] of class ids, 255 = ignore (absent without labels), over the same field
of view; optional `landmarks` float32 [K, 2] (x, y) pixels of `image` with pixel centres at .5; optional `identity`,
`attributes` float32 vectors."""


@runtime_checkable
class Source(Protocol):
    """What every source is; examples are the same arrays at every call and on every machine.

    A source may also have `problems: Sequence[Problem]`, the faces that it leaves out (see `problems`), and
    `licence: str`, what its faces may be used for; a view has the `source` that it looks at (see `licence`).
    """

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


@runtime_checkable
class MaskSource(Source, Protocol):
    """A source that reads a mask without its image."""

    def read_mask(self, index: int) -> np.ndarray | None:
        """`self[index]["mask"]`, or None for an example without labels."""


@runtime_checkable
class PresenceSource(Source, Protocol):
    """A source that may know the classes of its examples without reading their masks."""

    def presence(self) -> np.ndarray | None:
        """bool [N, K] as from the function `presence`, or None where nothing is stored."""


@runtime_checkable
class VerifiedSource(Source, Protocol):
    """A source that may know checksums of its files."""

    def verify(self) -> Sequence["Problem"]:
        """The files that do not match, all of them read."""


def read_reduced(source: Source, index: int, at_least: int) -> Example:
    """The example at `index`, its image possibly decoded small (see `ReducedSource`) where the source knows how to."""
    return source.read_reduced(index, at_least) if isinstance(source, ReducedSource) else source[index]


def read_mask(source: Source, index: int) -> np.ndarray | None:
    """The mask uint8 [h, w] of the example at `index`, without its image where the source can; None without labels."""
    return source.read_mask(index) if isinstance(source, MaskSource) else source[index].get("mask")


def problems(source: Source) -> Sequence["Problem"]:
    """The faces that a source leaves out and why; () for sources that leave nothing out."""
    return getattr(source, "problems", ())


def licence(source: Source) -> str:
    """What the faces of a source may be used for, see `licences`: that of the data at the bottom of its views."""
    while not hasattr(source, "licence") and hasattr(source, "source"):
        source = source.source
    return getattr(source, "licence", licences.UNKNOWN)


def verify(source: Source) -> Sequence["Problem"]:
    """The files that do not match their checksums; () for sources without checksums."""
    return source.verify() if isinstance(source, VerifiedSource) else ()


def stored_presence(source: Source) -> np.ndarray | None:
    """bool [N, K] as from `presence`, or None where only reading every mask could tell."""
    return source.presence() if isinstance(source, PresenceSource) else None


_PRESENCE_CHUNK = 256  # examples to a task: half a million tasks of one mask would cost more than the masks


def presence(source: Source, *, threads: int = 8) -> np.ndarray:
    """Which classes each example shows.

    Args:
      source: any source; records keep the answer, of other sources every mask is read.
      threads: how many read masks.

    Returns:
      bool [N, K], K = len(source.label_set); all False for an example without labels.

    Raises:
      UserError: a mask cannot be read.
    """
    stored = stored_presence(source)
    if stored is not None:
        return stored
    count, classes = len(source), len(source.label_set)

    def read(start: int) -> np.ndarray:
        chunk = range(start, min(start + _PRESENCE_CHUNK, count))
        return np.stack([_classes_in(read_mask(source, index), classes) for index in chunk])

    with ThreadPoolExecutor(threads) as pool:
        chunks = list(pool.map(read, range(0, count, _PRESENCE_CHUNK)))
    return np.concatenate([np.zeros((0, classes), bool), *chunks])


def _classes_in(mask: np.ndarray | None, classes: int) -> np.ndarray:
    if mask is None:
        return np.zeros(classes, bool)
    return np.bincount(mask.ravel(), minlength=256)[:classes] > 0


class Selection:
    """The examples of another source at some positions, in their order; a position may come more than once.

    Args:
      source: any source.
      positions: whole numbers from 0 to len(source) - 1.
      names: those of the examples, where they need not be collected one by one.
    """

    def __init__(self, source: Source, positions: Sequence[int] | np.ndarray, names: Sequence[str] | None = None):
        self.source, self.positions = source, positions
        self.label_set = source.label_set
        self.names = tuple(source.names[int(i)] for i in positions) if names is None else names
        self.problems = problems(source)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Example:
        return self.source[int(self.positions[index])]

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `ReducedSource`."""
        return read_reduced(self.source, int(self.positions[index]), at_least)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `MaskSource`."""
        return read_mask(self.source, int(self.positions[index]))

    def presence(self) -> np.ndarray | None:
        """See `PresenceSource`."""
        stored = stored_presence(self.source)
        return None if stored is None else stored[np.asarray(self.positions)]

    def verify(self) -> Sequence["Problem"]:
        """See `VerifiedSource`; all files of the source count."""
        return verify(self.source)


class Subset(Selection):
    """The examples `start <= i < stop` of another source, for holding out a part of it.

    Args:
      source: any source.
      start, stop: as in a Python slice: None is the end, negative numbers count from it.

    Raises:
      UserError: the slice holds no example.
    """

    def __init__(self, source: Source, start: int | None, stop: int | None):
        chosen = range(*slice(start, stop).indices(len(source)))
        if not chosen:
            slice_text = f"[{'' if start is None else start}:{'' if stop is None else stop}]"
            raise UserError(f"the slice {slice_text} of {len(source)} examples is empty: widen it")
        super().__init__(source, chosen, source.names[chosen.start : chosen.stop])


class Weighted(NamedTuple):
    """One part of a mixture.

    Attributes:
      weight: finite and above 0; draws come from the parts in proportion to their weights.
      source: the examples of the part.
    """

    weight: float
    source: Source


def open_source(
    spec: str,
    *,
    root: str = "",
    size: int | None = None,
    seed: int = 0,
    require_masks: bool = True,
    strict: bool = True,
) -> Source:
    """The source that a spec names.

    Args:
      spec: `KIND:WHERE[?SPLIT][START:STOP]`; kinds and what they mean: docs/architecture.md.
      root: folder that relative places lie in; "" is the working directory.
      size: side of rendered faces, pixels (128 if None); photos keep their own size.
      seed: of rendered faces.
      require_masks: False also takes images without labels.
      strict: False leaves faces out that lack a part, and lists them in the source's `problems`.

    Raises:
      UserError: a malformed spec, an unknown kind or split, or data that is not there or not whole.
    """
    parsed = parse_spec(spec)
    return _open_part(parsed, parsed.split or "", kinds.Options(size, seed, require_masks, strict, root))


def open_splits(
    spec: str, *, size: int | None = None, seed: int = 0, require_masks: bool = True, strict: bool = True
) -> dict[str, Source]:
    """The sources of every split of the data that a spec names, or of the one split it names.

    Args:
      spec, size, seed, require_masks, strict: as in `open_source`; a slice is taken of each split.

    Returns:
      split -> source; the key is "" for data that are not divided.

    Raises:
      UserError: as `open_source`.
    """
    parsed = parse_spec(spec)
    found = [parsed.split] if parsed.split else kinds.get(parsed.kind).splits(parsed.where)
    options = kinds.Options(size, seed, require_masks, strict)
    return {split: _open_part(parsed, split, options) for split in found or [""]}


def _open_part(parsed: Spec, split: str, options: kinds.Options) -> Source:
    where = kinds.placed(parsed.kind, parsed.where, options.root)
    source = kinds.get(parsed.kind).open(where, split, options)
    whole = parsed.start is None and parsed.stop is None
    return source if whole else Subset(source, parsed.start, parsed.stop)


def open_mixture(
    text: str,
    *,
    root: str = "",
    size: int | None = None,
    seed: int = 0,
    require_masks: bool = True,
    strict: bool = True,
) -> list[Weighted]:
    """The weighted sources of `[NUMBER*]SPEC + [NUMBER*]SPEC ...`, as in `0.7*records:A?train + 0.3*synthetic:2000`.

    Args:
      text: a plus sign between spaces parts the parts; a part without a number has weight 1.
      root, size, seed, require_masks, strict: as in `open_source`.

    Raises:
      UserError: an empty part, a weight that is not a positive number, and as `open_source`.
    """
    options = {"root": root, "size": size, "seed": seed, "require_masks": require_masks, "strict": strict}
    return [Weighted(weight, open_source(spec, **options)) for weight, spec in parse_mixture(text)]
