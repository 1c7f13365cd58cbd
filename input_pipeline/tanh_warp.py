"""RoI tanh warp: the face at full size in the middle, everything around it squeezed into the border, and back.

Lin et al., CVPR 2019, in the variant of FaRL and SegFace: linear near the centre. With u in units of half the side of
an aligned square (0 in its middle, -1 and 1 at its borders) and the factor f, along x and y each by itself:

    squash(u)  = u                                              |u| <= 1 - f
                 sign(u) (1 - f + f tanh((|u| - 1 + f) / f))    elsewhere, always inside (-1, 1)
    stretch(v) = v                                              |v| <= 1 - f
                 sign(v) (1 - f + f artanh((|v| - 1 + f) / f))  elsewhere, the argument of artanh at most LIMIT

Pixel centres are at .5 everywhere (the (i + 0.5) convention, align_corners=False), so a square of S pixels has
u = 2 x / S - 1 for x in [0, S], and with M the affine map from the picture onto the aligned square

    warped xy  = S / 2 (squash(2 (M xy) / S - 1) + 1)
    picture xy = M^-1 (S / 2 (stretch(2 xy / S - 1) + 1))

are exact inverses of each other within the limit. The published code looks pixel i up at i where its grid means
i + 0.5, on the way there and on the way back: its round trip moves a picture by about one pixel.
"""

import numpy as np

from input_pipeline.images.resampling import invert, pixel_centres, reduced, sample, sample_ids
from input_pipeline.types import Example

FACTOR = 0.8
"""Share of the half side in which space is squeezed, as published: 0.2 on each side of the centre stay as they are."""
LIMIT = 0.999
"""Largest argument of artanh, as published: what lies further than 1 - f + 3.8 f from the centre is cut off."""


def squash(u: np.ndarray, factor: float) -> np.ndarray:
    """All of space into (-1, 1), the middle of it unchanged; see the module.

    Args:
      u: float, units of half the side.
      factor: 0 < f <= 1.
    """
    size, inner = np.abs(u), 1 - factor
    return np.where(size <= inner, u, np.sign(u) * (inner + factor * np.tanh((size - inner) / factor)))


def stretch(v: np.ndarray, factor: float) -> np.ndarray:
    """The inverse of `squash`, up to `LIMIT`.

    Args:
      v: float, units of half the side.
      factor: 0 < f <= 1.
    """
    size, inner = np.abs(v), 1 - factor
    # Clipped at 0 as well: artanh of the pixels that stay is computed, too, and must be a number.
    squeezed = np.clip((size - inner) / factor, 0, LIMIT)
    return np.where(size <= inner, v, np.sign(v) * (inner + factor * np.arctanh(squeezed)))


def warp_points(points: np.ndarray, matrix: np.ndarray, side: int, factor: float) -> np.ndarray:
    """Where points of the picture lie in the warped square: float64 [..., 2].

    Args:
      points: [..., 2] (x, y) pixels.
      matrix: float64 [2, 3], picture to aligned square (`landmarks.alignment_matrix`).
      side: of the square, pixels.
      factor: 0 < f <= 1, see `FACTOR`.
    """
    aligned = points @ matrix[:, :2].T + matrix[:, 2]
    return side / 2 * (squash(2 * aligned / side - 1, factor) + 1)


def unwarp_points(points: np.ndarray, matrix: np.ndarray, side: int, factor: float) -> np.ndarray:
    """The inverse of `warp_points`: [..., 2] pixels of the warped square -> float64 [..., 2] pixels of the picture."""
    aligned = side / 2 * (stretch(2 * np.asarray(points) / side - 1, factor) + 1)
    inverse = invert(matrix)
    return aligned @ inverse[:, :2].T + inverse[:, 2]


def tanh_warp(example: Example, matrix: np.ndarray, side: int, factor: float, *, edge: bool) -> Example:
    """The warped square of a face: image, mask and landmarks.

    Args:
      example: image and mask may differ in size.
      matrix, side, factor: see `warp_points`. A large picture is first reduced to the scale of the square's middle.
      edge: repeat the border pixels of the image outside of it, else black (as published).

    Returns:
      image uint8 [side, side, 3] (bilinear), mask uint8 [side, side] (id at the pixel centre, 255 outside the picture),
      landmarks float32, the rest as it was.
    """
    image, image_matrix = reduced(example["image"], matrix)
    grid = pixel_centres(side, side)
    warped = {**example, "image": sample(image, unwarp_points(grid, image_matrix, side, factor), edge=edge)}
    if "mask" in example:
        ratio = np.divide(example["mask"].shape[::-1], example["image"].shape[1::-1])  # mask pixels per image pixel
        warped["mask"] = sample_ids(example["mask"], unwarp_points(grid, matrix, side, factor) * ratio)
    if "landmarks" in example:
        warped["landmarks"] = warp_points(example["landmarks"], matrix, side, factor).astype(np.float32)
    return warped


def tanh_unwarp(warped: Example, matrix: np.ndarray, height: int, width: int, factor: float) -> Example:
    """The picture that a warped square shows, at its own size; what the square never held repeats its border.

    Args:
      warped: image and mask of one size, as `tanh_warp` returns them.
      matrix, factor: as there.
      height, width: of the picture.

    Returns:
      image uint8 [height, width, 3], mask uint8 [height, width] and landmarks float32, where `warped` has them.
    """
    side = warped["image"].shape[0]
    # Only the outermost half pixel of the square has no neighbour to interpolate with.
    positions = warp_points(pixel_centres(height, width), matrix, side, factor)
    picture = {**warped, "image": sample(warped["image"], positions, edge=True)}
    if "mask" in warped:
        picture["mask"] = sample_ids(warped["mask"], positions)
    if "landmarks" in warped:
        picture["landmarks"] = unwarp_points(warped["landmarks"], matrix, side, factor).astype(np.float32)
    return picture
