"""Random occlusion of faces by soft-edged, textured patches. Ours."""

import numpy as np
from PIL import Image

from input_pipeline.images.resampling import pixel_centres
from input_pipeline.types import Example

MOST = 3
"""Maximum number of patches on a face."""


def occlude(example: Example, *, size: float, label: int | None, rng: np.random.Generator) -> Example:
    """Occlude a face by one to three patches.

    Landmarks stay, since the face continues behind a patch; so does the mask, unless patches have a `label`.

    Args:
      example: image uint8 [H, W, 3], and a mask of that size if there is a `label`.
      size: length of the longest patch over the shorter side of the image; lengths are drawn from a third of it up.
      label: class id of the mask where a patch covers more than half of a pixel; None = its own.
      rng: the only source of randomness.
    """
    image = example["image"].astype(np.float32)
    hidden = np.zeros(image.shape[:2], bool)
    for _ in range(rng.integers(1, MOST + 1)):
        box, coverage = _patch(*image.shape[:2], size, rng)
        image[box] += coverage[..., None] * (_texture(*coverage.shape, rng) - image[box])
        hidden[box] |= coverage > 0.5
    occluded = {**example, "image": np.rint(image).astype(np.uint8)}
    if label is not None and "mask" in example:
        occluded["mask"] = np.where(hidden, np.uint8(label), example["mask"])
    return occluded


def _patch(height: int, width: int, size: float, rng: np.random.Generator) -> tuple[tuple[slice, slice], np.ndarray]:
    """Draw a rotated ellipse or rectangle; return its box in the image, and float32 [h, w] in 0..1: the share of each
    pixel of the box that it covers."""
    half = rng.uniform(size / 3, size, 2) * min(height, width) / 2
    centre = rng.uniform(0, (width, height))
    angle = rng.uniform(0, np.pi)
    softness = rng.uniform(1, max(2, half.min() / 2))  # width of the soft edge, pixels
    reach = np.hypot(*half) * (1 + softness / half.min() / 2)
    left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(centre + reach), (width, height)).astype(int)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offsets = pixel_centres(bottom - top, right - left) - (centre - (left, top))
    u, v = np.moveaxis(offsets @ turn / half, -1, 0)
    radius = np.hypot(u, v) if rng.random() < 0.5 else np.maximum(abs(u), abs(v))
    coverage = np.clip((1 - radius) * half.min() / softness + 0.5, 0, 1)
    return (slice(top, bottom), slice(left, right)), coverage.astype(np.float32)


def _texture(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a texture, float32 [H, W, 3] in 0..255: clouds of one colour."""
    cells, contrast = rng.integers(2, 9), rng.uniform(0, 60)
    clouds = rng.uniform(0, 255, 3) + contrast * rng.standard_normal((cells, cells, 1))
    coarse = Image.fromarray(np.clip(np.rint(clouds), 0, 255).astype(np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
