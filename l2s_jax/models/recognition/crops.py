"""What published identity encoders see of a picture: a cut of an aligned face, resized by averaging."""

import jax
import jax.numpy as jnp
import numpy as np

ALIGNED = 256
"""Side of the aligned (FFHQ-style) pictures that the cut is defined on."""
ROWS, COLUMNS = slice(35, 223), slice(32, 220)
"""The part of them that shows the face: 188 x 188 pixels."""
SEEN = 112
"""Side of the published networks' input."""


def recognition_crop(image: jax.Array) -> jax.Array:
    """Cut the face out of an aligned picture, as identity losses with IR-SE-50 do (pixel2style2pixel and its heirs).

    Args:
      image: float [B, S, S, 3]; of another side than 256 it is averaged to 256 first.

    Returns:
      [B, 112, 112, 3] in the same range: `[35:223, 32:220]` of 256, averaged to 112.
    """
    if image.shape[1] != ALIGNED:
        image = adaptive_average(image, ALIGNED)
    return adaptive_average(image[:, ROWS, COLUMNS], SEEN)


def adaptive_average(image: jax.Array, side: int) -> jax.Array:
    """Resize by averaging, as PyTorch's `AdaptiveAvgPool2d`.

    Output pixel i is the mean of the input pixels floor(i n / side) to ceil((i + 1) n / side) - 1 of n, so that
    neighbours may share some.

    Args:
      image: [B, H, W, C].
      side: of the output.

    Returns:
      [B, side, side, C].
    """
    rows, columns = (jnp.asarray(_averages(size, side), image.dtype) for size in image.shape[1:3])
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, image, precision="highest")


def _averages(size: int, side: int) -> np.ndarray:
    """Return the matrix [side, size] of the averages along one axis."""
    begin, end = (np.arange(side) * size) // side, -(-(np.arange(side) + 1) * size // side)
    at = np.arange(size)[None]
    inside = (at >= begin[:, None]) & (at < end[:, None])
    return inside / inside.sum(axis=1, keepdims=True)
