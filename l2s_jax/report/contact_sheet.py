"""Draw faces of a data set on one sheet: masks and landmarks laid over them, a name under each, and a legend."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from input_pipeline.labels import LabelSet
from input_pipeline.types import Example
from l2s_jax.report import overlays
from l2s_jax.report.image_grid import GAP, fit, sheet, shorten
from l2s_jax.report.overlays import MAT, TEXT, font

ALPHA = 0.4
"""Opacity of the class colour: the photo must stay visible, or nobody can judge its mask."""

_WIDTH, _SMALLEST, _LARGEST = 1440, 96, 256  # pixels: width of the sheet, smallest and largest side of a cell
_MARGIN = 16  # pixels that `sheet` leaves around its content
_LEGEND = 640  # minimum width of the legend in pixels, for sheets of few faces


def layout(count: int) -> tuple[int, int]:
    """Return (columns, cell side in pixels) for `count` faces: about 3 to 2, no wider than a screen if possible."""
    rows = max(1, round(math.sqrt(count / 1.5)))
    columns = math.ceil(count / rows)
    return columns, min(_LARGEST, max(_SMALLEST, _WIDTH // columns - GAP))


def contact_sheet(title: str, names: Sequence[str], examples: Sequence[Example], label_set: LabelSet) -> np.ndarray:
    """Draw the contact sheet.

    Args:
      title: one line above everything.
      names: one for each face; long ones are shortened.
      examples: at least one; images of any size, none is stretched.
      label_set: classes of the masks.

    Returns:
      uint8 [H, W, 3].
    """
    columns, side = layout(len(examples))
    faces = [draw_face(example, label_set, side) for example in examples]
    height, width = (max(face.shape[axis] for face in faces) for axis in (0, 1))
    cells = [_captioned(_mounted(face, height, width), name) for face, name in zip(faces, names, strict=True)]
    present = set().union(*(np.unique(x["mask"]) for x in examples if "mask" in x)) - {overlays.BACKGROUND}
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    legend_width = max(len(rows[0]) * (width + GAP) - GAP, _LEGEND)
    body = sheet(rows, footers=[overlays.legend(label_set, present, legend_width)] if present else [])
    return np.concatenate([_heading(title, body.shape[1]), body])


def draw_face(example: Example, label_set: LabelSet, side: int) -> np.ndarray:
    """Draw a face with its mask as tint and outline, and its landmarks as dots.

    Args:
      example: see `types.Example`; a mask of another size than its image covers the same field of view.
      label_set: classes of the mask.
      side: longer side of the result, pixels.

    Returns:
      uint8 [h, w, 3].
    """
    picture = fit(example["image"], side)
    size = picture.shape[1::-1]
    if "mask" in example:
        # The mask is resized as ids before it is drawn, so that the outline stays one sharp pixel.
        ids = np.asarray(Image.fromarray(example["mask"]).resize(size, Image.Resampling.NEAREST))
        picture = overlays.overlay(picture, ids, label_set, ALPHA)
    if "landmarks" not in example:
        return picture
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for x, y in example["landmarks"] * np.divide(size, example["image"].shape[1::-1]):
        draw.rectangle((x - 1.5, y - 1.5, x + 0.5, y + 0.5), fill=(255, 255, 255), outline=(0, 0, 0))
    return np.asarray(canvas)


def _mounted(face: np.ndarray, height: int, width: int) -> np.ndarray:
    """Centre the face on a [height, width] mat."""
    mat = np.full((height, width, 3), MAT, np.uint8)
    y, x = (height - face.shape[0]) // 2, (width - face.shape[1]) // 2
    mat[y : y + face.shape[0], x : x + face.shape[1]] = face
    return mat


def _captioned(picture: np.ndarray, name: str) -> np.ndarray:
    width = picture.shape[1]
    strip = Image.new("RGB", (width, 20), MAT)
    letters = font(12)
    ImageDraw.Draw(strip).text((width / 2, 9), shorten(name, letters, width), TEXT, letters, anchor="mm")
    return np.concatenate([picture, np.asarray(strip)])


def _heading(title: str, width: int) -> np.ndarray:
    strip = Image.new("RGB", (width, 34), MAT)
    letters = font(16)
    text = shorten(title, letters, width - 2 * _MARGIN)
    ImageDraw.Draw(strip).text((_MARGIN, 24), text, TEXT, letters, anchor="lm")
    return np.asarray(strip)
