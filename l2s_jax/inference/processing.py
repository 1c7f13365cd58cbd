"""Pre- and postprocessing: resize any image to the network's square input and map the prediction back to the image, by
a rule of `input_pipeline.images.resize_rules`.

Postprocessing interpolates the PROBABILITIES of the image's part of the square bilinearly to the original size and
takes the argmax there: interpolated labels would have jagged borders, and with logits one over-confident pixel could
move a border.
"""

import numpy as np
from PIL import Image

from input_pipeline.errors import UserError, require
from input_pipeline.images.components import remove_islands
from input_pipeline.images.resize_rules import ResizeRule
from input_pipeline.types import Example
from l2s_jax.types import unpacked


def to_square(face: Example, side: int, rule: ResizeRule) -> Example:
    """Resize an image of any size, with its landmarks, to the network's input.

    Args:
      face: `image` uint8 [H, W, 3]; optional `landmarks` [K, 2] (x, y) pixels of the image, centres at .5.
      side: side of the network's input, pixels.
      rule: rule that makes the image square.

    Returns:
      `image` float32 [side, side, 3] in [-1, 1]; `landmarks` float32 [K, 2], pixels of the square, if given.

    Raises:
      UserError: not a uint8 RGB image with at least one pixel, or landmarks that are not finite pairs of numbers.
    """
    image = face["image"]
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    require(fits, f"an image must be uint8 [H, W, 3], this one is {image.dtype} {list(image.shape)}")
    if "landmarks" in face:
        face = face | {"landmarks": _points(face["landmarks"])}
    square = rule.fit(face, side)
    return unpacked(square)


def _points(landmarks: np.ndarray) -> np.ndarray:
    try:
        points = np.asarray(landmarks)
    except ValueError as error:
        raise UserError("landmarks must be finite numbers [K, 2], these rows differ in length") from error
    fits = points.ndim == 2 and points.shape[1] == 2 and points.dtype.kind in "fiu" and np.isfinite(points).all()
    require(fits, f"landmarks must be finite numbers [K, 2], these are {points.dtype} {list(points.shape)}")
    return points.astype(np.float32)


class Planes:
    """Class probabilities of an image at its original size, computed class by class from those of the network's square:
    a 24-megapixel photo never needs all its [H, W, K] at once. `planes[k]` is float32 [H, W].

    Args:
      probabilities: float32 [S, S, K] of the square.
      height, width: size of the original image.
      rule: rule that made it square.
    """

    def __init__(self, probabilities: np.ndarray, height: int, width: int, rule: ResizeRule):
        self.shape = (height, width)
        self._probabilities, self._rule = probabilities, rule

    def __len__(self) -> int:
        return self._probabilities.shape[-1]

    def __getitem__(self, k: int) -> np.ndarray:
        if k >= len(self):
            raise IndexError(k)
        return from_square(self._probabilities[..., k], *self.shape, self._rule)


def upsample_argmax(
    probabilities: np.ndarray, height: int, width: int, rule: ResizeRule
) -> tuple[np.ndarray, np.ndarray]:
    """Return `decide` of the `Planes` of these arguments."""
    return decide(Planes(probabilities, height, width, rule))


def decide(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Return the most probable class of every pixel of the original image.

    Returns:
      ids uint8 [H, W] and their probability, float32 [H, W]; on ties the lower id wins.
    """
    ids, best = np.zeros(planes.shape, np.uint8), np.full(planes.shape, -1.0, np.float32)
    for k, plane in enumerate(planes):
        ids[plane > best] = k
        np.maximum(best, plane, out=best)
    return ids, best


def remove_small_components(
    ids: np.ndarray, confidence: np.ndarray, planes: Planes, min_pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Remove small connected components from the result of `decide` (`input_pipeline.images.components`).

    Args:
      ids, confidence: result of `decide`, [H, W].
      planes: from which they were computed.
      min_pixels: size of the smallest component that is kept, image pixels; 0 and 1 change nothing.

    Returns:
      ids uint8 [H, W] and the probability of these classes, float32 [H, W].
    """
    cleaned, confidence = remove_islands(ids, min_pixels), confidence.copy()
    changed = cleaned != ids
    for k in np.unique(cleaned[changed]):
        here = changed & (cleaned == k)
        confidence[here] = planes[k][here]
    return cleaned, confidence


def from_square(plane: np.ndarray, height: int, width: int, rule: ResizeRule) -> np.ndarray:
    """Map one plane of the network's square back to the image: the inverse of `to_square`.

    Args:
      plane: [S, S], one channel of a picture or a map.
      height, width: size of the original image.
      rule: rule that made it square.

    Returns:
      float32 [height, width], interpolated bilinearly.
    """
    box = rule.box(height, width, plane.shape[0])
    part = plane[box.top : box.bottom, box.left : box.right].astype(np.float32)
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR))
