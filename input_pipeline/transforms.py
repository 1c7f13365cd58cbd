"""Geometry that moves the image, its mask and its landmarks together.

Coordinates are (x, y) pixels with pixel centres at .5, so that scaling a picture by s multiplies every coordinate by s
and a [H, W] picture covers [0, W] x [0, H]. An image and its mask may differ in size (see `ReducedSource`): they cover
the same field of view, and landmarks count in pixels of the image.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.sources import Example


def _swapped(count: int, *pairs: tuple[int, int]) -> np.ndarray:
    order = np.arange(count)
    for a, b in pairs:
        order[[a, b]] = b, a
    return order


# Which landmark of a mirrored face plays the role of landmark k, by the number of landmarks.
_LANDMARK_FLIP = {
    5: _swapped(5, (0, 1), (3, 4)),  # eyes, nose, mouth corners
    68: _swapped(  # iBUG 300-W
        68,
        *((k, 16 - k) for k in range(8)),  # jaw
        *((17 + k, 26 - k) for k in range(5)),  # brows
        *((31, 35), (32, 34)),  # nostrils
        *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
        *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),  # outer lips
        *((60, 64), (61, 63), (65, 67)),  # inner lips
    ),
}


def flip(example: Example, label_set: LabelSet) -> Example:
    """The mirrored face: left and right exchange their ids and their landmarks.

    Args:
      example: its mask in `label_set`.

    Raises:
      UserError: landmarks of an order whose mirror image is not known (known: 5 and 68 points).
    """
    flipped = {**example, "image": example["image"][:, ::-1]}
    if "mask" in example:
        flipped["mask"] = label_set.flip[example["mask"][:, ::-1]]
    if "landmarks" in example:
        points = example["landmarks"]
        if len(points) not in _LANDMARK_FLIP:
            raise UserError(f"faces of {len(points)} landmarks cannot be mirrored: set the flip probability to 0")
        mirrored = np.float32([example["image"].shape[1], 0]) + points * np.float32([-1, 1])
        flipped["landmarks"] = mirrored[_LANDMARK_FLIP[len(points)]]
    return flipped


def resize(example: Example, height: int, width: int) -> Example:
    """The whole picture at another size; its shape may change.

    The image is interpolated bilinearly with a filter as wide as the reduction (no aliasing); each pixel of the mask
    takes the id found at its centre.
    """
    h, w = example["image"].shape[:2]
    resized = dict(example)
    if (h, w) != (height, width):
        resized["image"] = np.asarray(_pillow(example["image"]).resize((width, height), Image.Resampling.BILINEAR))
    if "mask" in example and example["mask"].shape != (height, width):
        resized["mask"] = np.asarray(_pillow(example["mask"]).resize((width, height), Image.Resampling.NEAREST))
    if "landmarks" in example:
        resized["landmarks"] = example["landmarks"] * np.float32([width / w, height / h])
    return resized


def shrink(example: Example, side: int) -> Example:
    """At most `side` pixels on the longer side, image and mask of one size; small pictures keep theirs."""
    h, w = example["image"].shape[:2]
    scale = min(1.0, side / max(h, w))
    return resize(example, max(1, round(h * scale)), max(1, round(w * scale)))


class Box(NamedTuple):
    """The picture's part of a square, pixels: `square[top:bottom, left:right]`."""

    left: int
    top: int
    right: int
    bottom: int


def fit_box(height: int, width: int, side: int) -> Box:
    """Where a [height, width] picture lies in a square of `side` pixels: whole, centred, in proportion."""
    scale = side / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side - h) // 2, (side - w) // 2
    return Box(left, top, left + w, top + h)


def fit_square(example: Example, side: int) -> Example:
    """The whole picture, centred in a square: nothing is cropped, nothing is stretched.

    The longer side is resized to `side` (see `resize`), the rest of the square repeats the border pixels of the image
    and is ignored in the mask. Rule `pad-square-bilinear`.
    """
    left, top, right, bottom = fit_box(*example["image"].shape[:2], side)
    margins = ((top, side - bottom), (left, side - right))
    square = resize(example, bottom - top, right - left)
    square["image"] = np.pad(square["image"], (*margins, (0, 0)), mode="edge")
    if "mask" in square:
        square["mask"] = np.pad(square["mask"], margins, constant_values=IGNORE)
    if "landmarks" in square:
        square["landmarks"] = square["landmarks"] + np.float32([left, top])
    return square


def square_matrix(
    height: int, width: int, side: int, *, degrees: float, scale: float, shift: tuple[float, float]
) -> np.ndarray:
    """The affine map of a [height, width] picture into a square: `fit_square`, then a similarity about the centre.

    Args:
      height, width: of the picture.
      side: of the square, pixels.
      degrees: rotation, clockwise as seen.
      scale: magnification on top of fitting.
      shift: (x, y), fractions of `side`.

    Returns:
      float64 [2, 3] matrix M with `square_xy = M @ (x, y, 1)`.
    """
    angle, magnification = np.deg2rad(degrees), scale * side / max(height, width)
    linear = magnification * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = side * (0.5 + np.asarray(shift))
    return np.column_stack([linear, centre - linear @ (width / 2, height / 2)])


def warp(example: Example, matrix: np.ndarray, side: int, *, edge: bool, mask_fill: int) -> Example:
    """One affine resampling of image, mask and landmarks.

    Args:
      example: image and mask may differ in size.
      matrix: float64 [2, 3], image pixels to pixels of the result. The image is not filtered: magnify it, or reduce
        it by little (`shrink` it before).
      side: of the square result.
      edge: repeat the border pixels of the image outside of it, else mid-grey.
      mask_fill: id of the pixels outside the mask.

    Returns:
      image uint8 [side, side, 3] (bilinear), mask uint8 [side, side] (id at the pixel centre), landmarks float32.
    """
    image = example["image"]
    warped = dict(example)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    pixels, margin = _with_border(image, inverse, side) if edge else (image, 0)
    into_pixels = inverse[:2] + np.array([0, 0, margin])
    warped["image"] = _sample(pixels, into_pixels, side, Image.Resampling.BILINEAR, (128, 128, 128))
    if "mask" in example:
        ratio = np.divide(example["mask"].shape[::-1], image.shape[1::-1])  # mask pixels per image pixel
        into_mask = ratio[:, None] * inverse[:2]
        warped["mask"] = _sample(example["mask"], into_mask, side, Image.Resampling.NEAREST, mask_fill)
    if "landmarks" in example:
        warped["landmarks"] = (example["landmarks"] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return warped


def _with_border(image: np.ndarray, inverse: np.ndarray, side: int) -> tuple[np.ndarray, int]:
    """The image with as many border pixels repeated as the corners of the square lie outside of it."""
    corners = inverse[:2] @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    outside = max(-corners.min(), *(corners.max(axis=1) - image.shape[1::-1]), 0)
    margin = int(np.ceil(outside))
    return (np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge") if margin else image), margin


def _sample(
    pixels: np.ndarray, inverse: np.ndarray, side: int, resampling: Image.Resampling, fill: int | tuple[int, ...]
) -> np.ndarray:
    """[side, side, ...]: the result pixel at (x, y) is read at `inverse @ (x, y, 1)`, or filled outside."""
    coefficients = tuple(inverse.ravel().tolist())
    picture = _pillow(pixels)
    return np.asarray(picture.transform((side, side), Image.Transform.AFFINE, coefficients, resampling, fillcolor=fill))


def _pillow(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))
