"""Oversampling of rare classes: each face is repeated according to its rarest class.

Repeat-factor sampling of Gupta, Dollar, Girshick, LVIS (CVPR 2019), section 5: with f_c the share of faces that show
class c and t a threshold, r_c = max(1, sqrt(t / f_c)), and the factor of a face is the largest r_c of its classes. The
systematic rounding of the factors is ours.
"""

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.selection import Selection, presence
from input_pipeline.types import Source


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
      threshold: see `repeat_factors`.
      seed: of the rounding; equal source, threshold and seed give equal views.

    Raises:
      UserError: a threshold out of range, or a mask that cannot be read.
    """

    def __init__(self, source: Source, threshold: float, seed: int):
        if not 0 < threshold <= 1:
            raise UserError(f"the balance threshold is {threshold}, but it is a share of the faces: above 0, at most 1")
        self.repeats = round_systematically(repeat_factors(presence(source), threshold), seed)
        super().__init__(source, np.repeat(np.arange(len(source)), self.repeats))
