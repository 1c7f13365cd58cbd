"""The types that data are made of: an example, a source of examples, and what a source may optionally support.

Sources are small, picklable and read-only: threads and worker processes share them freely.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from input_pipeline import licences
from input_pipeline.labels import LabelSet

Example = dict[str, np.ndarray]
"""`image` uint8 [H, W, 3]; `mask` uint8 [h, w] of class ids, 255 = ignore (absent without labels), over the same field
of view; optional `landmarks` float32 [K, 2] (x, y) pixels of `image` with pixel centres at .5; optional `identity`
int32 [], the person's number within the source; optional `identity_factors`, `attribute_factors`, float32 vectors.
For systems that make their own images: `seed` uint32 [2] alone, without an image."""


class Problem(NamedTuple):
    """Something wrong with one face of a data set.

    Attributes:
      name: the face, or the file's name if it belongs to no known face.
      path: the file or folder to fix.
      reason: what is wrong with it, as the end of the sentence "PATH ..." ("has no mask 'masks/0001.png'").
    """

    name: str
    path: str
    reason: str


@runtime_checkable
class Source(Protocol):
    """The interface of every source; an index gives the same arrays at every call and on every machine.

    A source may also have what the functions below look for: the methods `read_reduced(index, at_least)`,
    `read_mask(index)`, `presence()` and `verify()`; `problems: Sequence[Problem]`, the faces that it leaves out;
    `licence: str`, what its faces may be used for; and `people: int | None`, how many people they show (None: each
    face another). A view has `source`, the source underneath.
    """

    label_set: LabelSet
    names: Sequence[str]

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, index: int) -> Example:
        """Return the example at 0 <= index < len(self)."""


def read_reduced(source: Source, index: int, at_least: int) -> Example:
    """Return the example at `index`; the image of a source that can decode it faster at reduced size may be smaller
    than the mask, its longer side at least `at_least`.
    """
    return source.read_reduced(index, at_least) if hasattr(source, "read_reduced") else source[index]


def read_mask(source: Source, index: int) -> np.ndarray | None:
    """Return the mask uint8 [h, w] at `index`, without reading its image if the source can; None without labels."""
    return source.read_mask(index) if hasattr(source, "read_mask") else source[index].get("mask")


def problems(source: Source) -> Sequence[Problem]:
    """Return the faces that a source leaves out and why; () if it leaves nothing out."""
    return getattr(source, "problems", ())


def licence(source: Source) -> str:
    """Return what the faces of a source may be used for, see `licences`; a view has the licence of its source."""
    while not hasattr(source, "licence") and hasattr(source, "source"):
        source = source.source
    return getattr(source, "licence", licences.UNKNOWN)


def people_of(source: Source) -> int | None:
    """Return the number that every `identity` of a source is below, or None if the source does not say it.

    A view has that of its source.
    """
    while not hasattr(source, "people") and hasattr(source, "source"):
        source = source.source
    return (source.people or len(source)) if hasattr(source, "people") else None


def verify(source: Source) -> Sequence[Problem]:
    """Read all files and return those that do not match their checksums; () for sources without checksums."""
    return source.verify() if hasattr(source, "verify") else ()


def stored_presence(source: Source) -> np.ndarray | None:
    """Return bool [N, K] as `selection.presence` does, or None if that would need reading every mask."""
    return source.presence() if hasattr(source, "presence") else None


class NamesOnAccess(Sequence[str]):
    """Names that are made or read when they are asked for, and never stored.

    Args:
      count: their number.
      name_of: number of an example -> its name; picklable.
    """

    def __init__(self, count: int, name_of: Callable[[int], str]):
        self._count, self._name_of = count, name_of

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        numbers = range(self._count)[index]
        return tuple(map(self._name_of, numbers)) if isinstance(numbers, range) else self._name_of(numbers)


def numbered_names(split: str, count: int) -> NamesOnAccess:
    """Return the names `train-000000`, `train-000001`, ... of examples that are made on access."""
    return NamesOnAccess(count, (split + "-{:06d}").format)


class View:
    """The examples of another source, each one changed: the base class of such views.

    Args:
      source: any source.
    """

    def __init__(self, source: Source):
        self.source, self.label_set, self.names = source, source.label_set, source.names
        self.problems = problems(source)

    def change(self, example: Example) -> Example:
        """Return the example that the view shows for an example of the source; the same one unless overridden."""
        return example

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return self.change(self.source[index])

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See the function `read_reduced`."""
        return self.change(read_reduced(self.source, index, at_least))


class Weighted(NamedTuple):
    """One source of a mixture and its weight.

    Attributes:
      weight: finite and above 0; examples are drawn from the sources in proportion to their weights.
      source: its examples.
    """

    weight: float
    source: Source


class OpenOptions(NamedTuple):
    """The options of opening data.

    Attributes:
      root: folder that relative paths are resolved against; "" is the working directory.
      size: side of rendered faces, pixels (128 if None); photos keep their own size.
      seed: of rendered faces.
      require_masks: False also accepts images without labels.
      strict: False leaves out faces with missing files, and lists them in the source's `problems`.
    """

    root: str = ""
    size: int | None = None
    seed: int = 0
    require_masks: bool = True
    strict: bool = True
