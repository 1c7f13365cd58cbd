"""Merging of one black-and-white image per part into a label map."""

from collections.abc import Iterable

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.images.decode import read_drawing


def paint(parts: Iterable[tuple[int, epath.Path]]) -> np.ndarray:
    """Merge part masks, which may overlap, into a label map.

    Args:
      parts: class id and file of each part, at least one, in paint order: a later part covers an earlier one. A pixel
        belongs to the part where the image (grey, RGB or palette) is not black; an all-black part changes nothing.

    Returns:
      uint8 [H, W], 0 where no part is.

    Raises:
      UserError: a file that cannot be read or has a lossy coding, or parts of different sizes.
    """
    first = mask = None
    for label, path in parts:
        part = read_drawing(path, exact=True).pixels[..., 0]
        if mask is None:
            first, mask = path, np.zeros(part.shape, np.uint8)
        if part.shape != mask.shape:
            raise UserError(
                f"'{path}' has {part.shape[1]} x {part.shape[0]} pixels, but '{first.name}' of the same face has "
                f"{mask.shape[1]} x {mask.shape[0]}: replace the wrong one"
            )
        mask[part > 0] = label
    return mask
