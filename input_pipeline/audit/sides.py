"""Test whether `left` in a mask means the subject's left, as in every label set here, or the image's.

In a photo that is not mirrored the subject's left lies at larger x. In about 7 % of the faces of CelebAMask-HQ it lies
at smaller x, always for all classes; several of these photos show mirrored writing, so the photo was mirrored and its
labels were not swapped. A network trained on them learns to guess.
"""

import enum

import numpy as np

from input_pipeline.audit.scan import measure_mask, row_dtype
from input_pipeline.labels import LabelSet
from input_pipeline.types import Example, View

MIN_SEPARATION = 0.5
"""Partners nearer than this, in units of their own size (square root of their mean area), are inconclusive. On 900 real
faces the centres of eyes, brows and ears lay at least 3.3, 2.0 and 4.6 such units apart; in a profile they meet."""


class Verdict(enum.IntEnum):
    """The result of the side test for one face.

    UNCLEAR: no pair of partners is fully visible and apart (profiles, labels without sides).
    CORRECT: the subject's left lies at larger x.
    SWAPPED: it lies at smaller x, by the majority of the pairs, each weighted by its separation.
    MIXED: the majority is correct, but some pair is swapped.
    """

    UNCLEAR = 0
    CORRECT = 1
    SWAPPED = 2
    MIXED = 3


def partners(label_set: LabelSet) -> list[tuple[str, str]]:
    """Return the (left, right) pairs of classes of a label set."""
    return [(x.name, x.partner) for x in label_set.labels if x.side == "left" and x.partner in label_set]


def separations(stats: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Measure how far the left partner lies right of the right one in the image.

    Args:
      stats: records [N] of `scan.row_dtype(label_set)`.
      label_set: of the masks.

    Returns:
      float64 [N, P] for the P `partners`, in units of their size; NaN if one of the two is absent.
    """
    pairs = [(label_set[left], label_set[right]) for left, right in partners(label_set)]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    x, pixels = stats["centroid"][..., 0].astype(np.float64), stats["pixels"].astype(np.float64)
    width = np.maximum(stats["mask_size"][:, 1:], 1)
    size = np.sqrt((pixels[:, left] + pixels[:, right]) / 2) / width
    apart = np.full(size.shape, np.nan)
    return np.divide(x[:, left] - x[:, right], size, out=apart, where=(pixels[:, left] > 0) & (pixels[:, right] > 0))


def verdicts(separation: np.ndarray) -> np.ndarray:
    """Return uint8 [N] of `Verdict` from `separations` [N, P]."""
    telling = np.where(np.abs(separation) >= MIN_SEPARATION, separation, 0)  # NaN is not >= anything
    result = np.full(len(separation), Verdict.CORRECT, np.uint8)
    result[(telling < 0).any(axis=1)] = Verdict.MIXED
    result[telling.sum(axis=1) < 0] = Verdict.SWAPPED
    result[(telling == 0).all(axis=1)] = Verdict.UNCLEAR
    return result


def fix_left_right(mask: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Return the mask uint8 [h, w] with left and right swapped if the side test says `SWAPPED`, else unchanged."""
    row = np.zeros(1, row_dtype(label_set))
    measure_mask(row[0], mask, label_set)
    swapped = verdicts(separations(row, label_set))[0] == Verdict.SWAPPED
    return np.take(label_set.flip, mask) if swapped else mask


class FixedSides(View):
    """The examples of a source with swapped masks corrected by `fix_left_right`; images and landmarks are unchanged.

    Args:
      source: any source.
    """

    def change(self, example: Example) -> Example:
        """See `View`."""
        return example | {"mask": fix_left_right(example["mask"], self.label_set)} if "mask" in example else example
