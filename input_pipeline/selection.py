"""Select examples of a source, and find which classes each face shows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.types import Example, Problem, Source, problems, read_mask, read_reduced, stored_presence, verify

_PRESENCE_CHUNK = 256  # examples per task: half a million tasks of one mask each would cost more than the masks


def presence(source: Source, *, threads: int = 8) -> np.ndarray:
    """Return which classes each example shows.

    Args:
      source: any source; records store the answer, other sources have every mask read.
      threads: number of threads that read masks.

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
    """The examples of another source at given positions, in their order; a position may occur more than once.

    Args:
      source: any source.
      positions: integers from 0 to len(source) - 1.
      names: of these examples, if the caller has them; None looks up each one.
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
        """See `types.read_reduced`."""
        return read_reduced(self.source, int(self.positions[index]), at_least)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `types.read_mask`."""
        return read_mask(self.source, int(self.positions[index]))

    def presence(self) -> np.ndarray | None:
        """See `types.stored_presence`."""
        stored = stored_presence(self.source)
        return None if stored is None else stored[np.asarray(self.positions)]

    def verify(self) -> Sequence[Problem]:
        """See `types.verify`; checks all files of the source."""
        return verify(self.source)


class Subset(Selection):
    """The examples `start <= i < stop` of another source, e.g. to hold out a part of it.

    Args:
      source: any source.
      start, stop: as in a Python slice: None is the end, negative numbers count from the end.

    Raises:
      UserError: the slice is empty.
    """

    def __init__(self, source: Source, start: int | None, stop: int | None):
        chosen = range(*slice(start, stop).indices(len(source)))
        if not chosen:
            slice_text = f"[{'' if start is None else start}:{'' if stop is None else stop}]"
            raise UserError(f"the slice {slice_text} of {len(source)} examples is empty: widen it")
        super().__init__(source, chosen, source.names[chosen.start : chosen.stop])
