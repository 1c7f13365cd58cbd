"""Mixtures of data sets: a draw's number alone gives its source and the index within that source.

Any draw can be computed without the draws before it, so a mixture needs no state and every process and worker agrees.
"""

import functools
import math
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.loading.collate import OPTIONAL
from input_pipeline.types import Source

WINDOW = 64
"""Draws that are shuffled together: strict alternation would tie a source to the parity of the row."""
_FINEST = 1_000_000
"""Largest denominator of a weight."""


class Turns:
    """An endless random-access sequence: draw number -> (source, number of earlier draws from that source).

    After n draws, n a multiple of `WINDOW`, source k has had its share of them, rounded up or down; within a window the
    order of the sources is random. The numbers of a source count 0, 1, 2, ... in the order of its draws.

    Args:
      weights: one per source, finite and above 0.
      seed: for the order within windows.

    Raises:
      UserError: a weight that is not positive, or below a millionth of the sum.
    """

    def __init__(self, weights: Sequence[float], seed: int):
        self.shares, self._seed = _shares(weights), seed

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, draw: int) -> tuple[int, int]:
        window, place = divmod(draw, WINDOW)
        return _window(self.shares, self._seed, window)[place]


@functools.lru_cache(maxsize=64)
def _window(shares: tuple[int, ...], seed: int, window: int) -> tuple[tuple[int, int], ...]:
    """Return (source, number within the source) for every draw of a window."""
    before, after = (_counts(shares, draws) for draws in (window * WINDOW, (window + 1) * WINDOW))
    parts = np.repeat(np.arange(len(shares)), np.subtract(after, before))
    numbers, turns = list(before), []
    for part in np.random.default_rng((seed, window)).permutation(parts).tolist():
        turns.append((part, numbers[part]))
        numbers[part] += 1
    return tuple(turns)


def _counts(shares: Sequence[int], draws: int) -> list[int]:
    """Return how many of the first `draws` draws each source gets; the sum is `draws`, and no count ever falls."""
    counts, left, rest = [], draws, sum(shares)
    for share in shares:
        counts.append(-(-left * share // rest))
        left -= counts[-1]
        rest -= share
    return counts


def _shares(weights: Sequence[float]) -> tuple[int, ...]:
    """Return integers in the ratio of the weights: arithmetic on them is exact."""
    if not all(0 < weight < math.inf for weight in weights):
        raise UserError(f"the weights of a mixture are {list(weights)}, but each must be a positive number")
    exact = [Fraction(weight / math.fsum(weights)).limit_denominator(_FINEST) for weight in weights]
    if not all(exact):
        raise UserError(f"the weights of a mixture are {list(weights)}: leave out the part below a millionth")
    scale = math.lcm(*(share.denominator for share in exact))
    whole = [int(share * scale) for share in exact]
    return tuple(share // math.gcd(*whole) for share in whole)


def shared_keys(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return the `OPTIONAL` arrays that all data sets have with one shape; the rows of a batch must be alike.

    Decided by the first example of each. A single data set keeps all its arrays, and nothing is read.
    """
    if len(sources) == 1:
        return OPTIONAL
    shapes = [{key: array.shape for key, array in source[0].items()} for source in sources]
    return tuple(key for key in OPTIONAL if key in shapes[0] and len({each.get(key) for each in shapes}) == 1)
