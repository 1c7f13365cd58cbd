"""The types that data are made of: an example, a source of them, what a source may be able to do besides.

Sources are small, picklable and read-only: threads and worker processes share them freely.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from input_pipeline import licences
from input_pipeline.labels import LabelSet

Example = dict[str, np.ndarray]
"""`image` uint8 [H, W, 3]; `mask` uint8 [h, w] of class ids, 255 = ignore (absent without labels), over the same field
of view; optional `landmarks` float32 [K, 2] (x, y) pixels of `image` with pixel centres at .5; optional `identity`,
`attributes` float32 vectors."""


class Problem(NamedTuple):
    """Something wrong with one face of a data set.

    Attributes:
      name: the face, or the file's name where no face can be told.
      path: the file or folder to mend.
      reason: what is wrong with it, as the end of the sentence "PATH ..." ("has no mask 'masks/0001.png'").
    """

    name: str
    path: str
    reason: str


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

    def verify(self) -> Sequence[Problem]:
        """The files that do not match, all of them read."""


def read_reduced(source: Source, index: int, at_least: int) -> Example:
    """The example at `index`, its image possibly decoded small (see `ReducedSource`) where the source knows how to."""
    return source.read_reduced(index, at_least) if isinstance(source, ReducedSource) else source[index]


def read_mask(source: Source, index: int) -> np.ndarray | None:
    """The mask uint8 [h, w] of the example at `index`, without its image where the source can; None without labels."""
    return source.read_mask(index) if isinstance(source, MaskSource) else source[index].get("mask")


def problems(source: Source) -> Sequence[Problem]:
    """The faces that a source leaves out and why; () for sources that leave nothing out."""
    return getattr(source, "problems", ())


def licence(source: Source) -> str:
    """What the faces of a source may be used for, see `licences`: that of the data at the bottom of its views."""
    while not hasattr(source, "licence") and hasattr(source, "source"):
        source = source.source
    return getattr(source, "licence", licences.UNKNOWN)


def verify(source: Source) -> Sequence[Problem]:
    """The files that do not match their checksums; () for sources without checksums."""
    return source.verify() if isinstance(source, VerifiedSource) else ()


def stored_presence(source: Source) -> np.ndarray | None:
    """bool [N, K] as from `presence`, or None where only reading every mask could tell."""
    return source.presence() if isinstance(source, PresenceSource) else None


class Weighted(NamedTuple):
    """One part of a mixture.

    Attributes:
      weight: finite and above 0; draws come from the parts in proportion to their weights.
      source: the examples of the part.
    """

    weight: float
    source: Source


class OpenOptions(NamedTuple):
    """The arguments of `datasets.open_source` beside the spec."""

    size: int | None
    seed: int
    require_masks: bool
    strict: bool
    root: str = ""
