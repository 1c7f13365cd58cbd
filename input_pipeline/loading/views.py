"""Views between the files and the training loader: relabelled, shrunk to working size, cached in memory."""

from collections.abc import Sequence

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images.geometry import shrink
from input_pipeline.labels import LabelSet
from input_pipeline.types import Example, Source, read_reduced

MEMORY_LIMIT = 8 * 2**30
"""Default limit on a cache, bytes."""


class RelabelledSource:
    """The examples of a source with their masks mapped to another label set.

    Args:
      source: any source.
      label_set: of the mapped masks.
      keys: optional arrays (`landmarks` ...) that the examples keep; others are dropped.

    Raises:
      UserError: the masks cannot be mapped.
    """

    def __init__(self, source: Source, label_set: LabelSet, keys: Sequence[str]):
        self.source, self.label_set, self.names = source, label_set, source.names
        self._table, self._keys = labels.remap(source.label_set, label_set), ("image", "mask", *keys)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return self._relabelled(self.source[index])

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `ReducedSource`."""
        return self._relabelled(read_reduced(self.source, index, at_least))

    def _relabelled(self, example: Example) -> Example:
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
        if expected > memory_limit:
            raise UserError(
                f"keeping {len(source)} examples at {side} px in memory takes about {expected / 2**30:.1f} GiB, more "
                f"than the limit of {memory_limit / 2**30:.1f} GiB: switch the cache off"
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
