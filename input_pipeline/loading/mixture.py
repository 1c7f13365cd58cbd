"""Mix data sets: map a sample's index in the stream to its source and the index within that source.

That needs no sample before it, so a mixture has no state and every process and worker agrees.
"""

import functools
import math
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from input_pipeline.errors import require
from input_pipeline.loading.collate import OPTIONAL
from input_pipeline.types import Source

WINDOW = 64
"""Samples that are shuffled together: strict alternation would tie a source to the parity of the row."""
_FINEST = 1_000_000
"""Largest denominator of a weight."""


class MixtureSchedule:
    """An endless random-access sequence: sample index -> (source, number of earlier samples from that source).

    After n samples, n a multiple of `WINDOW`, source k has had its share of them, rounded up or down; within a window
    the order of the sources is random. The numbers of a source count 0, 1, 2, ... in the order of its samples.

    Args:
      weights: one per source, finite and above 0.
      seed: for the order within windows.

    Raises:
      UserError: a weight below a millionth of the sum.
    """

    def __init__(self, weights: Sequence[float], seed: int):
        self.shares, self._seed = _shares(weights), seed

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, sample_index: int) -> tuple[int, int]:
        window, place = divmod(sample_index, WINDOW)
        return _window(self.shares, self._seed, window)[place]


@functools.lru_cache(maxsize=64)
def _window(shares: tuple[int, ...], seed: int, window: int) -> tuple[tuple[int, int], ...]:
    """Return (source, number within the source) for every sample of a window."""
    before, after = (_counts(shares, samples) for samples in (window * WINDOW, (window + 1) * WINDOW))
    parts = np.repeat(np.arange(len(shares)), np.subtract(after, before))
    numbers, schedule = list(before), []
    for part in np.random.default_rng((seed, window)).permutation(parts).tolist():
        schedule.append((part, numbers[part]))
        numbers[part] += 1
    return tuple(schedule)


def _counts(shares: Sequence[int], samples: int) -> list[int]:
    """Return how many of the first `samples` each source gets; they add up to `samples`, and no count ever falls."""
    counts, left, rest = [], samples, sum(shares)
    for share in shares:
        counts.append(-(-left * share // rest))
        left -= counts[-1]
        rest -= share
    return counts


def _shares(weights: Sequence[float]) -> tuple[int, ...]:
    """Return integers in the ratio of the weights: arithmetic on them is exact."""
    exact = [Fraction(weight / math.fsum(weights)).limit_denominator(_FINEST) for weight in weights]
    require(all(exact), f"the weights of a mixture are {list(weights)}: leave out the part below a millionth")
    scale = math.lcm(*(share.denominator for share in exact))
    whole = [int(share * scale) for share in exact]
    return tuple(share // math.gcd(*whole) for share in whole)


def shared_keys(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return the `OPTIONAL` arrays that all data sets have with one shape; the rows of a batch must be alike.

    Decided by the first example of each. A single data set keeps all its arrays, and nothing is read. `identity` is
    left out of a mixture: two data sets number different people alike.
    """
    if len(sources) == 1:
        return OPTIONAL
    shapes = [{key: array.shape for key, array in source[0].items()} for source in sources]
    shared = [key for key in OPTIONAL if key in shapes[0] and len({each.get(key) for each in shapes}) == 1]
    return tuple(key for key in shared if key != "identity")
