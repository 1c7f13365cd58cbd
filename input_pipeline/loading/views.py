"""Views between the files and the training loader: selected, repeated, relabelled, shrunk, cached in memory.

Oversampling of rare classes is the repeat-factor sampling of Gupta, Dollar, Girshick, LVIS (CVPR 2019), section 5: with
f_c the share of faces that show class c and t a threshold, r_c = max(1, sqrt(t / f_c)), and the factor of a face is the
largest r_c of its classes. The systematic rounding of the factors is ours.
"""

from collections.abc import Sequence

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import lookup, require
from input_pipeline.images.geometry import shrink
from input_pipeline.labels import LabelSet
from input_pipeline.selection import Selection, presence
from input_pipeline.types import Example, Source, View, read_reduced

MEMORY_LIMIT = 8 * 2**30
"""Default limit on a cache, bytes."""


class RelabelledSource(View):
    """The examples of a source with their masks mapped to another label set.

    Args:
      source: any source.
      label_set: of the mapped masks.
      keys: optional arrays (`landmarks` ...) that the examples keep; others are dropped.

    Raises:
      UserError: the masks cannot be mapped.
    """

    def __init__(self, source: Source, label_set: LabelSet, keys: Sequence[str]):
        super().__init__(source)
        self._table, self._keys = labels.remap(source.label_set, label_set), ("image", "mask", *keys)
        self.label_set = label_set

    def change(self, example: Example) -> Example:
        """See `View`."""
        kept = {key: example[key] for key in self._keys if key in example}
        return kept | {"mask": np.take(self._table, kept["mask"])} if "mask" in kept else kept


class ShrunkSource:
    """The examples of a source with their longer side at most `side` pixels; smaller ones keep their size.

    Args:
      source: any source.
      side: pixels.
      at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if its longer side keeps at least this many pixels;
        None = `side`.
    """

    def __init__(self, source: Source, side: int, at_least: int | None = None):
        self.source, self.side, self.at_least = source, side, side if at_least is None else at_least
        self.label_set, self.names = source.label_set, source.names

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return shrink(read_reduced(self.source, index, self.at_least), self.side)


class CachedSource:
    """The examples of a source at working size, each read once and then kept in memory.

    Any number of threads may read it: two that request the same new example both read it and store equal arrays.
    A copy in another process starts empty.

    Args:
      source: any source.
      side: longer side of the kept images, pixels.
      at_least: see `ShrunkSource`.
      memory_limit: bytes.

    Raises:
      UserError: estimated from its first example, the source would take more than `memory_limit`.
    """

    def __init__(self, source: Source, side: int, at_least: int | None = None, *, memory_limit: int = MEMORY_LIMIT):
        self.source = ShrunkSource(source, side, at_least)
        self.label_set, self.names = source.label_set, source.names
        self._examples: list[Example | None] = [None] * len(source)
        expected = sum(array.nbytes for array in self[0].values()) * len(source)
        require(
            expected <= memory_limit,
            f"keeping {len(source)} examples at {side} px in memory takes about {expected / 2**30:.1f} GiB, more "
            f"than the limit of {memory_limit / 2**30:.1f} GiB: switch the cache off",
        )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        example = self._examples[index]
        if example is None:
            example = {key: _frozen(array) for key, array in self.source[index].items()}
            self._examples[index] = example
        return dict(example)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_examples": [None] * len(self)}


def _frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only copy: changing a cached array would change it for every later epoch."""
    array = np.array(array)
    array.flags.writeable = False
    return array


class FacesShowing(Selection):
    """The examples of a source whose masks show every one of some classes, as published methods select their faces.

    Args:
      source: any source; records store which classes each face shows, other sources have every mask read once.
      label_set: of the classes; a face shows one if at least one pixel has a class that maps to it.
      names: of the classes.

    Raises:
      UserError: an unknown class, masks that cannot be mapped, or no example left.
    """

    def __init__(self, source: Source, label_set: LabelSet, names: Sequence[str]):
        ids = {label.name: label.id for label in label_set.labels}
        wanted = [lookup(ids, name, "class", of=f"of label set '{label_set.name}'") for name in names]
        table = labels.remap(source.label_set, label_set)[: len(source.label_set)]
        shown = presence(source)
        every = np.all([shown[:, table == class_id].any(axis=1) for class_id in wanted], axis=0)
        require(every.any(), f"none of {len(source)} faces shows all of {', '.join(names)}: require fewer classes")
        super().__init__(source, np.flatnonzero(every))


class KnownPeople(View):
    """The examples of a source whose people are numbered below a limit; any other person is an error when it is read.

    Args:
      source: any source with `identity`.
      people: the limit.
    """

    def __init__(self, source: Source, people: int):
        super().__init__(source)
        self.people = people

    def change(self, example: Example) -> Example:
        """See `View`.

        Raises:
          UserError: the person's number is too large.
        """
        person = int(example["identity"])
        require(
            person < self.people,
            f"a face shows person {person}, and the model tells {self.people} people apart, numbered from 0: set "
            f"model.people above {person}",
        )
        return example


def repeat_factors(present: np.ndarray, threshold: float) -> np.ndarray:
    """Return how often each face should be seen in an epoch.

    Args:
      present: bool [N, K], the classes of each face (`selection.presence`); class 0, the background, does not count.
      threshold: t in (0, 1]: classes in a smaller share of the faces are oversampled.

    Returns:
      float64 [N], at least 1.
    """
    share = present[:, 1:].mean(axis=0)
    # A class that no face shows changes no factor.
    by_class = np.sqrt(np.maximum(1, threshold / np.where(share > 0, share, 1)))
    return np.where(present[:, 1:], by_class, 1).max(axis=1, initial=1)


def round_systematically(factors: np.ndarray, seed: int) -> np.ndarray:
    """Round factors to integers, each up or down, so that their sum is the rounded sum of the factors.

    One random offset for all: count k is the number of integers that the cumulative sum of the fractions crosses at k,
    so its expectation over seeds is the factor itself.

    Args:
      factors: float64 [N], not negative.
      seed: of the offset.

    Returns:
      int64 [N].
    """
    whole = np.floor(factors)
    offset = np.random.default_rng(seed).random()
    crossed = np.floor(np.cumsum(factors - whole) + offset)
    return (whole + np.diff(crossed, prepend=0)).astype(np.int64)


class RepeatFactorSource(Selection):
    """A view of a source that repeats faces with rare classes.

    Attributes:
      repeats: int64 [N], how often each example of the source occurs in the view; at least 1.

    Args:
      source: any source.
      threshold: see `repeat_factors`; a share of the faces, above 0.
      seed: of the rounding; equal source, threshold and seed give equal views.

    Raises:
      UserError: a mask that cannot be read.
    """

    def __init__(self, source: Source, threshold: float, seed: int):
        self.repeats = round_systematically(repeat_factors(presence(source), threshold), seed)
        super().__init__(source, np.repeat(np.arange(len(source)), self.repeats))
