"""Recover class ids from colour-coded label images with anti-aliased borders.

The colour between two regions is a mixture of theirs, and the class colour nearest to a mixture may be a third one:
halfway from yellow (skin) to maroon (hair), red (background) is as near as either, and a ring of background appears
between skin and hair. So a mixture is explained by two classes that are near, and gets the class that covers more of
the pixel. Method: ours.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE

TOLERANCE = 24
"""Maximum deviation of a channel from a pure colour: the coding noise of JPEG."""
REACH = 4.0
"""Maximum distance of a border pixel from the nearest pure pixel, pixels; smoothed borders are two or three wide."""


def class_ids(image: np.ndarray, palette: Sequence[tuple[int, int, int]], name: str) -> np.ndarray:
    """Decode a colour-coded label image to class ids.

    Args:
      image: uint8 [H, W, 3].
      palette: RGB colour of each class, more than 2 * TOLERANCE apart.
      name: the image, for error messages.

    Returns:
      uint8 [H, W], indices into `palette`. An image of palette colours only is decoded exactly.

    Raises:
      UserError: a colour that is neither in the palette nor a mixture of nearby classes.
    """
    colors = np.asarray(palette, np.int16)
    ids = np.full(image.shape[:2], IGNORE, np.uint8)
    for k, color in enumerate(colors):
        ids[(np.abs(image - color) <= TOLERANCE).all(axis=-1)] = k
    mixed = ids == IGNORE
    if mixed.any():
        distances = _distances(ids, len(colors), mixed)
        _check_reach(image, mixed, distances, name)
        ids[mixed] = _explain(image[mixed].astype(np.float32), colors.astype(np.float32), distances)
    return ids


def _distances(ids: np.ndarray, count: int, mixed: np.ndarray) -> np.ndarray:
    """Return float32 [count, N]: pixels from each mixed pixel to the nearest pure one of each class, inf if none."""
    distances = np.full((count, np.count_nonzero(mixed)), np.inf, np.float32)
    for k in np.unique(ids[~mixed]):
        distances[k] = ndimage.distance_transform_edt(ids != k)[mixed]
    return distances


def _check_reach(image: np.ndarray, mixed: np.ndarray, distances: np.ndarray, name: str) -> None:
    lost = distances.min(axis=0) > REACH
    if lost.any():
        row, column = np.argwhere(mixed)[lost][0]
        red, green, blue = image[row, column].tolist()
        raise UserError(
            f"'{name}' has the colour ({red}, {green}, {blue}) at x {column}, y {row}, which stands for no class: "
            "correct the label image"
        )


def _explain(pixels: np.ndarray, colors: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return uint8 [N]: the larger share of the two classes within REACH whose mixture best fits a pixel's colour.

    Args:
      pixels: float32 [N, 3], colours.
      colors: float32 [K, 3], of the classes.
      distances: float32 [K, N], see `_distances`.
    """
    nearest = distances.argmin(axis=0).astype(np.uint8)
    best = np.full(len(pixels), np.inf, np.float32)
    for a, b in itertools.combinations(range(len(colors)), 2):
        line = colors[b] - colors[a]
        part = np.clip((pixels - colors[a]) @ line / (line @ line), 0.0, 1.0)
        error = np.linalg.norm(pixels - colors[a] - part[:, None] * line, axis=-1)
        better = (error < best) & (distances[a] <= REACH) & (distances[b] <= REACH)
        best[better] = error[better]
        nearest[better] = np.where(part > 0.5, b, a)[better]
    return nearest
