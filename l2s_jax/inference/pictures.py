"""Read images in the forms that users pass: arrays, PIL images, paths."""

import os

import jax
import numpy as np
from PIL import Image

from input_pipeline.images import decode

Picture = np.ndarray | jax.Array | Image.Image | str | os.PathLike


def read(image: Picture) -> np.ndarray:
    """Return uint8 [H, W, 3] of an array (unchanged), a PIL image or a path (EXIF orientation applied).

    Raises:
      UserError: unreadable file.
    """
    if isinstance(image, str | os.PathLike):
        return decode.read_image(image)
    return decode.to_rgb(image) if isinstance(image, Image.Image) else np.asarray(image)


def are_several(image: object) -> bool:
    """Tell a list or tuple of pictures, or an array [B, H, W, 3], from one picture."""
    return isinstance(image, list | tuple) or getattr(image, "ndim", 0) == 4
