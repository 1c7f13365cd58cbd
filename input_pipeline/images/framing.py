"""Frame photos: the part of a photo that becomes a training example.

| framing | example |
|---|---|
| `whole` | the entire photo |
| `face` | a square around the landmarks, else around the face in the mask, cropped without interpolation |
| `face_inside` | the part of that square inside the photo, often oblong (Helen in the published SegFace) |
| `aligned` | a square in which eyes, nose and mouth lie at the positions of `landmarks.TEMPLATE` |

Outside the photo, the image of a square repeats its border and the mask is ignored.
"""

import numpy as np

from input_pipeline.errors import UserError, require
from input_pipeline.images.decode import MAX_PIXELS
from input_pipeline.images.geometry import crop, warp
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.landmarks import TEMPLATE, alignment_matrix, five_points
from input_pipeline.types import Example, Source, View, read_reduced

FRAMINGS = ("whole", "face", "face_inside", "aligned")
MARGIN = 1.2
"""Side of the square over the longer side of the box inside it (Helen in SegFace, there around the 68 landmarks)."""
FIVE_POINT_MARGIN = 2.4
"""The same for a box around eyes, nose and mouth corners only: about the square of the 68 landmarks (ours)."""
LARGEST = 4
"""Maximum side of the square over the longer side of the photo: beyond, landmarks are wrong and memory is wasted."""
# Accessories and hair around a face do not show where it is.
_AROUND = ("background", "hair_background", "hair", "hat", "neck", "cloth", "neck_l", "ear_r")


def align(example: Example, template: np.ndarray, side: int) -> Example:
    """Align a face: turn, scale and shift it so that its five points lie nearest to a template.

    Args:
      example: with landmarks of a scheme of `input_pipeline.landmarks`.
      template: [5, 2] fractions of the side.
      side: of the square result, pixels.

    Returns:
      image uint8 [side, side, 3] with repeated border, mask uint8 [side, side] with 255 outside, landmarks.

    Raises:
      UserError: landmarks that do not locate a face in this photo.
    """
    points = five_points(example["landmarks"])
    matrix = alignment_matrix(points, template, side)
    _check_visible(points.min(axis=0), points.max(axis=0), example)
    return warp(example, matrix, side, edge=True, mask_fill=IGNORE)


def face_square(example: Example, label_set: LabelSet) -> tuple[float, float, float]:
    """Return the square of a face: left, top, side in pixels of the image.

    Args:
      example: with landmarks, or with a mask in `label_set`.
      label_set: of the mask; every class except background, hair, things worn, and parts below the head is the face.

    Raises:
      UserError: neither landmarks nor pixels of a face, or a square beyond `MAX_PIXELS` or `LARGEST`.
    """
    if "landmarks" in example:
        points = example["landmarks"].astype(np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        margin = FIVE_POINT_MARGIN if len(points) == 5 else MARGIN
    else:
        low, high = _face_box(example, label_set)
        margin = MARGIN
    side = margin * (high - low).max()
    longest = min(LARGEST * max(example["image"].shape[:2]), MAX_PIXELS**0.5)
    require(0 < side <= longest, "a face spans no sensible square: correct or remove its landmarks")
    _check_visible(low, high, example)
    left, top = (low + high - side) / 2
    return float(left), float(top), float(side)


def _check_visible(low: np.ndarray, high: np.ndarray, example: Example) -> None:
    visible = (high > 0).all() and (low < example["image"].shape[1::-1]).all()
    require(visible, "the landmarks of a face lie outside of its picture: correct or remove them")


def _face_box(example: Example, label_set: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of the upper left and lower right corner of the face in the mask, pixels of the image."""
    is_face = np.zeros(256, bool)
    is_face[[label.id for label in label_set.labels if label.name not in _AROUND]] = True
    mask = example.get("mask", np.zeros((0, 0), np.uint8))
    face = is_face[mask]
    columns, rows = np.flatnonzero(face.any(axis=0)), np.flatnonzero(face.any(axis=1))
    if not len(rows):
        lack = "a mask without a face" if "mask" in example else "a face without landmarks and mask"
        raise UserError(f"{lack} cannot be framed: leave it out, or set data.framing to 'whole'")
    ratio = np.divide(example["image"].shape[1::-1], mask.shape[::-1])
    return ratio * (columns[0], rows[0]), ratio * (columns[-1] + 1, rows[-1] + 1)


class FramedSource(View):
    """The examples of a source, framed.

    Args:
      source: any source.
      framing: one of `FRAMINGS`.

    Raises:
      UserError: on reading an example, a face that cannot be framed (the sentence names it).
    """

    def __init__(self, source: Source, framing: str):
        super().__init__(source)
        self.framing = framing

    def __getitem__(self, index: int) -> Example:
        return self._framed(index, self.source[index], at_least=None)

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `types.read_reduced`: the framed part keeps at least `at_least` pixels on a side.

        The size of that part is known only after landmarks or mask are read: if it is too small, the photo is decoded
        a second time, larger.
        """
        example = read_reduced(self.source, index, at_least)
        framed = self._framed(index, example, at_least)
        longer, whole = max(framed["image"].shape), max(example["image"].shape)
        if longer < at_least <= whole:  # a smaller photo was not reduced
            larger = read_reduced(self.source, index, -(-whole * at_least // longer))
            if larger["image"].shape != example["image"].shape:
                framed = self._framed(index, larger, at_least)
        return framed

    def _framed(self, index: int, example: Example, at_least: int | None) -> Example:
        try:
            return _frame(example, self.label_set, self.framing, at_least)
        except UserError as error:
            raise UserError(f"'{self.names[index]}': {error}") from error


def _frame(example: Example, label_set: LabelSet, framing: str, at_least: int | None) -> Example:
    if framing == "aligned":
        if "landmarks" not in example:
            raise UserError("a face without landmarks cannot be aligned: set data.framing to 'face' or 'whole'")
        return align(example, TEMPLATE, _natural_side(example, at_least))
    if framing == "whole":
        return example
    return crop(example, *face_square(example, label_set), inside=framing == "face_inside")


def _natural_side(example: Example, at_least: int | None) -> int:
    """Return the side at which the aligned face keeps its size in the photo; less, if less is enough.

    A face fills the square about as it fills the template, so more than twice the shorter side of the photo would add
    no detail.
    """
    magnification = np.sqrt(np.linalg.det(alignment_matrix(example["landmarks"], TEMPLATE, 1)[:, :2]))
    limits = [1 / magnification, 2 * min(example["image"].shape[:2])]
    if at_least is not None:
        limits.append(at_least)
    return max(1, round(min(limits)))
