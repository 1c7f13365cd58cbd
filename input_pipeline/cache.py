"""Sources that stand between the files and the training loader: examples at working size, and kept in memory."""

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.sources import Example, Source, read_reduced
from input_pipeline.transforms import shrink

MEMORY_LIMIT = 8 * 2**30
"""Default limit on a cache, bytes."""


class ShrunkSource:
    """The examples of a source with their longer side at most `side` pixels; smaller ones keep their size.

    Args:
      source: any source.
      side: pixels.
    """

    def __init__(self, source: Source, side: int):
        self.source, self.side = source, side
        self.label_set, self.names = source.label_set, source.names

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return shrink(read_reduced(self.source, index, self.side), self.side)


class CachedSource:
    """The examples of a source, each read once and then kept, at working size.

    Any number of threads may read it: two that meet at the same new example both read it and store the same arrays.
    A copy in another process starts empty.

    Args:
      source: any source.
      side: longer side of the kept images, pixels (see `ShrunkSource`).
      memory_limit: bytes.

    Raises:
      UserError: judging by its first example, the source would take more than `memory_limit`.
    """

    def __init__(self, source: Source, side: int, *, memory_limit: int = MEMORY_LIMIT):
        self.source = ShrunkSource(source, side)
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
    """A read-only copy: whoever changed a kept array would change it for every later epoch."""
    array = np.array(array)
    array.flags.writeable = False
    return array
