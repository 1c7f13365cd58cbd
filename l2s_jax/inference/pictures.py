"""Read images in the forms that users pass: arrays, PIL images, paths."""

import os

import numpy as np
from PIL import Image

from input_pipeline.images import decode

Picture = np.ndarray | Image.Image | str | os.PathLike


def read(image: Picture) -> np.ndarray:
    """Return uint8 [H, W, 3] of an array (unchanged), a PIL image or a path (EXIF orientation applied).

    Raises:
      UserError: unreadable file.
    """
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, Image.Image):
        return decode.to_rgb(image)
    return decode.read_image(image)
