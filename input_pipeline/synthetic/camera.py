"""The camera: from linear light to the 8-bit image by lens, display curve and sensor."""

import numpy as np

from input_pipeline.synthetic import rng


def develop(light: np.ndarray, noise: float, blur: float, key: int) -> np.ndarray:
    """Convert the painted light to the image that a camera takes of it.

    Args:
      light: float32 [3, H, W], linear.
      noise: standard deviation in display units (0..1). Shot noise grows with the root of the light, so it is uniform
        on the root of the light, which is the display value.
      blur: share of its light that a pixel gives to each neighbour along an axis, 0 (sharp) to 0.25.
      key: of the noise.

    Returns:
      uint8 [H, W, 3].
    """
    if blur > 0.02:
        light = _blur(_blur(light, blur).transpose(0, 2, 1), blur).transpose(0, 2, 1)
    value = np.sqrt(np.maximum(light, 0.0))
    # A soft shoulder from 0.8 up instead of clipped highlights.
    over = np.maximum(value - np.float32(0.8), 0.0)
    value += over * (np.float32(0.2) / (over + np.float32(0.2)) - np.float32(1.0))
    value += np.float32(noise) * rng.grain(rng.fold(key, "sensor"), value.shape)
    value *= np.float32(255.0)
    value += np.float32(0.5)
    return value.clip(0.0, 255.0).astype(np.uint8).transpose(1, 2, 0).copy()


def _blur(light: np.ndarray, share: float) -> np.ndarray:
    """Apply a three-tap blur along the last axis; the border pixel is repeated outside."""
    passed = light * np.float32(share)
    blurred = light * np.float32(1.0 - 2.0 * share)
    blurred[..., 1:] += passed[..., :-1]
    blurred[..., :-1] += passed[..., 1:]
    blurred[..., 0] += passed[..., 0]
    blurred[..., -1] += passed[..., -1]
    return blurred
