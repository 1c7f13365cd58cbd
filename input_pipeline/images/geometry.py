"""Move the image, its mask and its landmarks together: mirror, resize, crop, warp.

Coordinates are (x, y) pixels with pixel centres at .5, so that scaling an image by s multiplies every coordinate by s
and a [H, W] image covers [0, W] x [0, H]. An image and its mask may differ in size (see `types.read_reduced`): they
cover the same field of view, and landmarks are in pixels of the image.
"""

from typing import NamedTuple

import cv2
import numpy as np

from input_pipeline.images.resampling import (
    GREY,
    Kernel,
    affine_ids,
    affine_image,
    resize_ids,
    resize_image,
    scaled_from,
)
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.landmarks import mirror_order
from input_pipeline.types import Example


def flip(example: Example, label_set: LabelSet) -> Example:
    """Mirror a face: left and right swap their ids and their landmarks.

    Args:
      example: its mask in `label_set`.

    Raises:
      UserError: landmarks of a scheme that `landmarks.mirror_order` does not know.
    """
    flipped = {**example, "image": cv2.flip(example["image"], 1)}  # ten times faster than copying a reversed view
    if "mask" in example:
        flipped["mask"] = label_set.flip[example["mask"][:, ::-1]]
    if "landmarks" in example:
        points = example["landmarks"]
        mirrored = np.float32([example["image"].shape[1], 0]) + points * np.float32([-1, 1])
        flipped["landmarks"] = mirrored[mirror_order(len(points))]
    return flipped


def resize(example: Example, height: int, width: int, kernel: Kernel = Kernel.BILINEAR) -> Example:
    """Resize an example, without cropping; its aspect ratio may change.

    The image is interpolated with a kernel that widens with the reduction (no aliasing); each pixel of the mask takes
    the id found at its centre.
    """
    h, w = example["image"].shape[:2]
    resized = dict(example)
    if (h, w) != (height, width):
        resized["image"] = resize_image(example["image"], height, width, kernel)
    if "mask" in example and example["mask"].shape != (height, width):
        resized["mask"] = resize_ids(example["mask"], height, width)
    if "landmarks" in example:
        resized["landmarks"] = example["landmarks"] * np.float32([width / w, height / h])
    return resized


def shrink(example: Example, side: int) -> Example:
    """Shrink to at most `side` pixels on the longer side, image and mask to one size; smaller images keep theirs.

    An example without an image is returned as it is.
    """
    if "image" not in example:
        return example
    h, w = example["image"].shape[:2]
    scale = min(1.0, side / max(h, w))
    return resize(example, max(1, round(h * scale)), max(1, round(w * scale)))


class Box(NamedTuple):
    """The part of a square that an image fills, pixels: `square[top:bottom, left:right]`."""

    left: int
    top: int
    right: int
    bottom: int


def fit_box(height: int, width: int, side: int) -> Box:
    """Return where a [height, width] image lies in a square of `side` pixels: uncropped, centred, in proportion."""
    scale = side / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side - h) // 2, (side - w) // 2
    return Box(left, top, left + w, top + h)


def fit_square(example: Example, side: int, kernel: Kernel = Kernel.BILINEAR) -> Example:
    """Fit the uncropped image into a square, centred: nothing is cropped, nothing is stretched.

    The longer side is resized to `side` by the kernel (see `resize`); the rest of the square repeats the border pixels
    of the image and is ignored in the mask.
    """
    left, top, right, bottom = fit_box(*example["image"].shape[:2], side)
    margins = ((top, side - bottom), (left, side - right))
    square = resize(example, bottom - top, right - left, kernel)
    square["image"] = np.pad(square["image"], (*margins, (0, 0)), mode="edge")
    if "mask" in square:
        square["mask"] = np.pad(square["mask"], margins, constant_values=IGNORE)
    if "landmarks" in square:
        square["landmarks"] = square["landmarks"] + np.float32([left, top])
    return square


def crop(example: Example, left: float, top: float, side: float, *, inside: bool = False) -> Example:
    """Crop a square, which may reach beyond the image: there the image repeats its border and the mask is ignored.

    No pixel is interpolated: the square snaps to full pixels of image and mask (of the coarser one, if their sizes
    differ), so that both still cover the same field of view.

    Args:
      left, top, side: pixels of the image.
      inside: leave out the part beyond the image; the rest may be oblong, and is at least one pixel.
    """
    image = example["image"]
    size = np.array(image.shape[1::-1])
    grid = np.minimum(size, example["mask"].shape[::-1]) if "mask" in example else size
    start = np.rint(np.array([left, top]) * grid / size) / grid
    extent = np.maximum(np.rint(side * grid / size), 1) / grid
    columns, rows = _ranges(start, extent, size, inside)
    cropped = {**example, "image": image.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")}
    if "landmarks" in example:
        cropped["landmarks"] = example["landmarks"] - np.float32([columns[0], rows[0]])
    if "mask" in example:
        height, width = example["mask"].shape
        columns, rows = _ranges(start, extent, np.array([width, height]), inside)
        mask = example["mask"].take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
        mask[(rows < 0) | (rows >= height)] = IGNORE
        mask[:, (columns < 0) | (columns >= width)] = IGNORE
        cropped["mask"] = mask
    return cropped


def _ranges(start: np.ndarray, extent: np.ndarray, size: np.ndarray, inside: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and rows of an array with `size` (width, height) from `start` on; both are fractions of it."""
    first = np.rint(start * size).astype(int)
    count = np.maximum(np.rint(extent * size).astype(int), 1)
    ranges = np.arange(first[0], first[0] + count[0]), np.arange(first[1], first[1] + count[1])
    if not inside:
        return ranges
    return tuple(np.unique(numbers.clip(0, length - 1)) for numbers, length in zip(ranges, size, strict=True))


def square_matrix(
    height: int,
    width: int,
    side: int,
    *,
    degrees: float,
    scale: float,
    shift: tuple[float, float],
    shear: tuple[float, float],
    stretch: bool = False,
) -> np.ndarray:
    """Return the affine map of a [height, width] image into a square: changes about its centre, then fitting.

    Args:
      height, width: of the image.
      side: of the square, pixels.
      degrees: rotation, clockwise in the image, after shearing.
      scale: magnification on top of fitting.
      shift: (x, y), fractions of `side`.
      shear: (x, y): how far a pixel moves along x for each pixel of its y, and along y for each of its x.
      stretch: fit both sides to the square; False fits the longer one, in proportion.

    Returns:
      float64 [2, 3] matrix M with `square_xy = M @ (x, y, 1)`.
    """
    angle, magnification = np.deg2rad(degrees), scale * side / max(height, width)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = magnification * rotation @ np.array([[1, shear[0]], [shear[1], 1]])
    if stretch:
        linear *= max(height, width) / np.array([[width], [height]])
    centre = side * (0.5 + np.asarray(shift))
    return np.column_stack([linear, centre - linear @ (width / 2, height / 2)])


def warp(example: Example, matrix: np.ndarray, side: int, *, edge: bool, mask_fill: int, fill: int = GREY) -> Example:
    """Apply one affine map to image, mask and landmarks.

    Args:
      example: image and mask may differ in size.
      matrix: float64 [2, 3], image pixels to pixels of the result; strong reduction is filtered against aliasing.
      side: of the square result.
      edge: repeat the border pixels outside the image, else `fill`.
      mask_fill: id of the pixels outside the mask.
      fill: grey level outside the image, 0 = black.

    Returns:
      image uint8 [side, side, 3] (bilinear), mask uint8 [side, side] (id at the pixel centre), landmarks float32.
    """
    warped = {**example, "image": affine_image(example["image"], matrix, side, edge=edge, fill=fill)}
    if "mask" in example:
        ratio = np.divide(example["image"].shape[1::-1], example["mask"].shape[::-1])  # image pixels per mask pixel
        warped["mask"] = affine_ids(example["mask"], scaled_from(matrix, *ratio), side, fill=mask_fill)
    if "landmarks" in example:
        warped["landmarks"] = (example["landmarks"] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return warped
