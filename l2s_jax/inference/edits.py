"""`Edit`: an edited face, alone or laid into its photo, with the measures of what has changed. Pure functions of numpy
arrays."""

import dataclasses
from typing import NamedTuple

import numpy as np

from input_pipeline.images.resize_rules import ResizeRule
from l2s_jax.inference import blending, processing


class Blend(NamedTuple):
    """The measures of an edit that was laid into its photo.

    Attributes:
      change: between the photo and the result, at the photo's own size; the soft border is outside.
      seam: the contrast added by the soft border.
      untouched: share of the photo's pixels that are exactly as they were, 0..1.
    """

    change: blending.Change
    seam: blending.Seam
    untouched: float


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edited face.

    Attributes:
      image: uint8 [H, W, 3], the result: `after`, or the photo with it at the photo's own size.
      before: uint8 [S, S, 3], the face as decoded without the edit.
      after: uint8 [S, S, 3], the face as decoded with it.
      region: bool [S, S], where `before` or `after` shows one of the edited regions.
      overlap: how much of `region` both show, 0..1; None if one shows nothing of it. Slices keep their place in the
        picture: near 0 the edit lies where the face is not, because the two photos are framed differently.
      change: between `before` and `after`.
      blend: None if `image` is `after`.
    """

    image: np.ndarray
    before: np.ndarray
    after: np.ndarray
    region: np.ndarray
    overlap: float | None
    change: blending.Change
    blend: Blend | None = None


def compare(before: np.ndarray, after: np.ndarray, old: np.ndarray, new: np.ndarray) -> Edit:
    """Return the edit from one picture to another.

    Args:
      before, after: uint8 [S, S, 3].
      old, new: bool [S, S], where each shows the edited regions.
    """
    region = old | new
    overlap = float((old & new).sum() / region.sum()) if old.any() and new.any() else None
    return Edit(after, before, after, region, overlap, blending.change(before, after, region))


def lay_into(photo: np.ndarray, edit: Edit, feather: int, rule: ResizeRule) -> Edit:
    """Return the edit laid into its photo at the photo's own size.

    Args:
      photo: uint8 [H, W, 3].
      edit: the edit of the square that was made of the photo.
      feather: width of the soft border around the region, pixels of the square.
      rule: rule that made the square.
    """
    size = photo.shape[:2]
    mask = processing.from_square(blending.soft_mask(edit.region, feather), *size, rule)
    region = processing.from_square(edit.region, *size, rule) >= 0.5
    pasted = np.stack([processing.from_square(edit.after[..., c], *size, rule) for c in range(3)], axis=-1)
    image = blending.blend(photo, pasted, mask)
    untouched = float((image == photo).all(axis=-1).mean())
    measures = Blend(blending.change(photo, image, region), blending.seam(photo, pasted, mask, region), untouched)
    return dataclasses.replace(edit, image=image, blend=measures)
