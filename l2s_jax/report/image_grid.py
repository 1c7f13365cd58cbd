"""Lay images out in a titled grid of rows and columns, on the mat that every panel uses."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from l2s_jax.report.overlays import MAT, TEXT, font

GAP = 6
_FONT_SIZE, _MARGIN = 14, 16


def fit(image: np.ndarray, cell: int) -> np.ndarray:
    """Resize the image to `cell` pixels on its longer side.

    Args:
      image: uint8 [H, W, 3] or [H, W]. A label map ([H, W]) is resized by nearest neighbour.
      cell: target size of the longer side.

    Returns:
      uint8 of the same rank.
    """
    height, width = image.shape[:2]
    scale = cell / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    resample = Image.Resampling.NEAREST if image.ndim == 2 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize(size, resample))


def sheet(
    rows: Sequence[Sequence[np.ndarray]],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    footers: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Draw images of one size in a titled grid.

    Args:
      rows: rows of images uint8 [h, w, 3], all of one size; rows may differ in length.
      row_titles: one short text left of each row, or none.
      column_titles: one short text above each column, or none; long ones are shortened to the cell.
      footers: images uint8 [*, *, 3] below the grid (legends).

    Returns:
      uint8 [H, W, 3].

    Raises:
      ValueError: there is no image, or the images differ in size.
    """
    shapes = {picture.shape for row in rows for picture in row}
    if len(shapes) != 1:
        raise ValueError(f"a sheet takes pictures of one size, not {sorted(shapes)}")
    height, width, _ = shapes.pop()
    letters = font(_FONT_SIZE)
    left = _MARGIN + (round(max(map(letters.getlength, row_titles))) + 14 if row_titles else 0)
    top = _MARGIN + (_FONT_SIZE + 10 if column_titles else 0)
    right = left + max(len(row) for row in rows) * (width + GAP) - GAP
    bottom = top + len(rows) * (height + GAP) - GAP
    footer_height = sum(footer.shape[0] for footer in footers) + (12 if footers else 0)
    total = max([right, *(_MARGIN + footer.shape[1] for footer in footers)]) + _MARGIN

    canvas = Image.new("RGB", (total, bottom + footer_height + _MARGIN), MAT)
    draw = ImageDraw.Draw(canvas)
    for r, row in enumerate(rows):
        y = top + r * (height + GAP)
        if row_titles:
            draw.text((_MARGIN, y + height / 2), row_titles[r], fill=TEXT, font=letters, anchor="lm")
        for c, picture in enumerate(row):
            canvas.paste(Image.fromarray(picture), (left + c * (width + GAP), y))
    for c, title in enumerate(column_titles):
        x = left + c * (width + GAP) + width / 2
        draw.text((x, top - 8), shorten(title, letters, width + GAP), fill=TEXT, font=letters, anchor="ms")
    y = bottom + 12
    for footer in footers:
        canvas.paste(Image.fromarray(footer), (_MARGIN, y))
        y += footer.shape[0]
    return np.asarray(canvas)


def png(image: np.ndarray) -> bytes:
    """Encode an image uint8 [H, W, 3] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def shorten(text: str, letters: ImageFont.FreeTypeFont, width: float) -> str:
    """Cut the text with an ellipsis if it is longer than `width` pixels."""
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
