"""Lay images out in a triangle, each with a caption, on the mat that every panel uses."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from l2s_jax.report.image_grid import GAP, shorten
from l2s_jax.report.overlays import MAT, TEXT, font

FONT_SIZE = 13
_MARGIN, _LINE = 16, 18  # pixels


def triangle(images: Sequence[np.ndarray], captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Draw images in a triangle with the first one on top; row r has r + 1 of them, centred.

    Args:
      images: uint8 [h, w, 3] of one size, 1, 3, 6, 10 ... of them.
      captions: the short lines below each image; long ones are shortened to its width.

    Returns:
      uint8 [H, W, 3].

    Raises:
      ValueError: that many images or captions make no triangle.
    """
    count, (height, width, _) = len(images), images[0].shape
    side = round((np.sqrt(8 * count + 1) - 1) / 2)
    if side * (side + 1) // 2 != count or len(captions) != count:
        raise ValueError(f"{count} images with {len(captions)} captions make no triangle")
    letters = font(FONT_SIZE)
    cell = width + GAP, height + _LINE * max(map(len, captions)) + GAP
    size = side * cell[0] - GAP + 2 * _MARGIN, side * cell[1] - GAP + 2 * _MARGIN
    canvas = Image.new("RGB", size, MAT)
    draw = ImageDraw.Draw(canvas)
    places = [(r, c) for r in range(side) for c in range(r + 1)]
    for (r, c), image, lines in zip(places, images, captions, strict=True):
        left = size[0] / 2 + (c - (r + 1) / 2) * cell[0] + GAP / 2
        top = _MARGIN + r * cell[1]
        canvas.paste(Image.fromarray(image), (round(left), top))
        for number, line in enumerate(lines):
            place = (left + width / 2, top + height + (number + 0.6) * _LINE)
            draw.text(place, shorten(line, letters, width), fill=TEXT, font=letters, anchor="mm")
    return np.asarray(canvas)
