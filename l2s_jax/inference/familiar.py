"""Tell whether a picture looks like those that a model was trained on. Ours.

A network is sure of itself on anything. What tells a drawing from a photo lies in the picture: flat areas, hard edges,
colours without shades. A few such numbers are taken of the training faces; the Mahalanobis distance of a picture from
these, over the distance that one face of a hundred exceeds, is its doubt. Whether there is a face does not matter here.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from input_pipeline.errors import require

SIDE = 256
"""Shorter side that larger pictures are reduced to first, pixels."""

SHARE = 0.99
"""Share of the training faces that are not doubted."""

_SCALES = 3  # each half the one before
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
_FLAT = 0.01  # slope over contrast that no one sees
_SHRINKAGE = 0.02  # of the covariance towards its diagonal, which keeps it regular


def statistics(image: np.ndarray) -> np.ndarray:
    """Describe the texture of a picture.

    Args:
      image: uint8 [H, W, 3], any size.

    Returns:
      float64 [D], logarithms: at three scales the quantiles of the slopes, over the contrast, and the share of flat
      pixels; the spread of the colours and the contrast.
    """
    scale = SIDE / min(image.shape[:2])
    if scale < 1:
        size = [round(scale * length) for length in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = image.astype(np.float32)
    grey = pixels @ np.float32([0.299, 0.587, 0.114])
    colours = (pixels[..., 0] - pixels[..., 1], (pixels[..., 0] + pixels[..., 1]) / 2 - pixels[..., 2])
    contrast = grey.std() + 4.0  # levels
    found = []
    for power in range(_SCALES):
        if power:
            size = [max(1, length // 2) for length in grey.shape[::-1]]
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / (8 * contrast)
        found += [*(np.quantile(slope, _QUANTILES) + 0.01), np.mean(slope < _FLAT) + 0.05]
    return np.log([*found, *(colour.std() + 4.0 for colour in colours), contrast]).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Familiar:
    """The pictures that a model was trained on, as `statistics` describes them.

    Attributes:
      mean: float64 [D].
      precision: float64 [D, D], the inverse covariance.
      limit: the Mahalanobis distance that `SHARE` of the training faces stay within.
    """

    mean: np.ndarray
    precision: np.ndarray
    limit: float

    def doubt(self, image: np.ndarray) -> float:
        """Return how far a picture, uint8 [H, W, 3], is from these, over the limit: doubtful above 1."""
        return float(_distances(statistics(image)[None], self.mean, self.precision)[0] / self.limit)

    def to_json(self) -> dict:
        """Return the content of `model.json`, field `familiar`."""
        return {"mean": self.mean.tolist(), "precision": self.precision.tolist(), "limit": self.limit}


def from_json(content: Mapping, source: object) -> Familiar | None:
    """Check what `Familiar.to_json` wrote, and convert it; None if it is empty.

    Args:
      content: parsed JSON, untrusted.
      source: where it is from, for error messages.

    Raises:
      UserError: numbers are missing or not finite, or there are too many or too few.
    """
    if not content:
        return None
    size = len(statistics(np.zeros((1, 1, 3), np.uint8)))
    try:
        found = [np.asarray(content[name], np.float64) for name in ("mean", "precision", "limit")]
    except (KeyError, TypeError, ValueError):
        found = []
    fits = [array.shape for array in found] == [(size,), (size, size), ()]
    require(
        fits and all(np.isfinite(array).all() for array in found) and found[2] > 0,
        f"'{source}' is damaged or from another version of l2s_jax: its field 'familiar' is not what it should be",
    )
    return Familiar(found[0], found[1], float(found[2]))


def fit(images: Iterable[np.ndarray]) -> Familiar:
    """Describe the pictures of a training, uint8 [H, W, 3] each, hundreds of them.

    The limit is of distances that each half has from the other, since pictures lie closer to a mean of their own.
    """
    points = np.stack([statistics(image) for image in images])
    halves = points[::2], points[1::2]
    distances = [_distances(one, *_moments(other)) for one, other in (halves, halves[::-1])]
    return Familiar(*_moments(points), float(np.quantile(np.concatenate(distances), SHARE)))


def _moments(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and inverse covariance of points [N, D]."""
    covariance = np.cov(points.T)
    return points.mean(axis=0), np.linalg.inv(covariance + _SHRINKAGE * np.diag(np.diag(covariance)))


def _distances(points: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the Mahalanobis distances of points [N, D], float64 [N]."""
    off = points - mean
    return np.sqrt(np.maximum(np.einsum("nd,de,ne->n", off, precision, off), 0.0))
