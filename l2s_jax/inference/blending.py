"""Lay an edited face into its photo: a soft mask of the edited region, the mixture, its seam, and what has changed.

Pure functions of numpy arrays.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage


class Change(NamedTuple):
    """The change of an image, in grey levels of 255, mean of pixels and channels.

    Attributes:
      inside: mean absolute change inside the edited region; None if the region is empty.
      outside: outside of it; None if there is no outside.
      outside_over_inside: their ratio, small if the edit keeps to its region; None where it has no value.
      region: share of the image that the region fills, 0..1.
    """

    inside: float | None
    outside: float | None
    outside_over_inside: float | None
    region: float


class Seam(NamedTuple):
    """The contrast that a soft mask adds between neighbouring pixels, in grey levels of 255; lower is less visible.

    Attributes:
      added: mean over the neighbours p, q whose mask differs: |(mask(p) - mask(q)) (edited - photo)|.
      cut: the same for the mask without its soft border: the seam of pasting with scissors.
      photo: mean contrast of the photo's own pixels at the places of `added`.
    """

    added: float | None
    cut: float | None
    photo: float | None


def soft_mask(region: np.ndarray, feather: int) -> np.ndarray:
    """Make a mask that is 1 in a region and falls to 0 in a straight line outside of it.

    The border lies outside, so that nothing of the region's old content shines through.

    Args:
      region: bool [H, W].
      feather: width of the border, pixels; 0 = none.

    Returns:
      float32 [H, W], 0 from `feather` + 1 pixels on.
    """
    if not region.any():
        return np.zeros(region.shape, np.float32)
    return np.float32(np.clip(1 - ndimage.distance_transform_edt(~region) / (feather + 1), 0, 1))


def blend(photo: np.ndarray, edited: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mix an edited image into a photo; where the mask is 0 the photo's pixels stay exactly as they are.

    Args:
      photo: uint8 [H, W, 3].
      edited: [H, W, 3], 0..255.
      mask: float32 [H, W], 0 (photo) to 1 (edited).

    Returns:
      uint8 [H, W, 3].
    """
    weight = mask[..., None]
    return np.uint8(np.clip(np.rint((1 - weight) * photo + weight * edited), 0, 255))


def seam(photo: np.ndarray, edited: np.ndarray, mask: np.ndarray, region: np.ndarray) -> Seam:
    """Measure the seam of `blend`.

    Args:
      photo: uint8 [H, W, 3].
      edited: [H, W, 3], 0..255.
      mask: float32 [H, W], the soft mask.
      region: bool [H, W], the region without its soft border.
    """
    photo, edited = photo.astype(np.float32), np.asarray(edited, np.float32)
    added, pairs, own = _contrast(photo, edited, mask)
    cut, cuts, _ = _contrast(photo, edited, region.astype(np.float32))
    return Seam(_mean(added, pairs), _mean(cut, cuts), _mean(own, pairs))


def change(before: np.ndarray, after: np.ndarray, region: np.ndarray) -> Change:
    """Measure how much an image has changed inside and outside of a region.

    Args:
      before, after: uint8 [H, W, 3].
      region: bool [H, W].
    """
    levels = np.abs(after.astype(np.float32) - before).mean(axis=-1)
    inside = _mean(float(levels[region].sum()), int(region.sum()))
    outside = _mean(float(levels[~region].sum()), int((~region).sum()))
    ratio = outside / inside if inside and outside is not None else None
    return Change(inside, outside, ratio, float(region.mean()))


def _contrast(photo: np.ndarray, edited: np.ndarray, mask: np.ndarray) -> tuple[float, int, float]:
    """Sum over the neighbours whose mask differs: added contrast, number of pairs, the photo's own contrast."""
    total, pairs, own = 0.0, 0, 0.0
    difference = np.abs(edited - photo).mean(axis=-1)
    upright = (mask, difference, photo)
    for m, d, p in (upright, tuple(np.swapaxes(x, 0, 1) for x in upright)):
        step = np.abs(np.diff(m, axis=0))
        crossed = step > 0
        # The product rule: of the mixture's own contrast this much is the mask's, the rest is of photo and edit.
        total += float((step * (d[1:] + d[:-1]) / 2)[crossed].sum())
        own += float(np.abs(np.diff(p, axis=0)).mean(axis=-1)[crossed].sum())
        pairs += int(crossed.sum())
    return total, pairs, own


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
