"""Draw label maps in colour: flat, laid over the face, as errors, and the legend that explains them. Our own design."""

import functools
import importlib.util
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from input_pipeline.labels import IGNORE, LabelSet

BACKGROUND = 0
"""Class 0 of every label set is the background: it is never painted."""

MAT = (21, 23, 28)
"""RGB behind the images: faces and regions on black look the same on a light and on a dark page."""

TEXT = (226, 228, 233)
"""RGB of lettering on the mat."""

CORRECT, MISSED, INVENTED, CONFUSED = range(4)
ERROR_KINDS = {  # colours that colour-blind readers can tell apart (Okabe and Ito)
    MISSED: ("missed: a region taken for background", (86, 180, 233)),
    INVENTED: ("invented: background taken for a region", (240, 228, 66)),
    CONFUSED: ("confused: one region taken for another", (230, 97, 20)),
}


def colorize(ids: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Paint each class in its own colour.

    Args:
      ids: uint8 [H, W], class ids; 255 = ignore.
      label_set: what the ids mean.

    Returns:
      uint8 [H, W, 3]; ignored pixels are white, ids outside the set black.
    """
    return label_set.palette[ids]


def overlay(
    image: np.ndarray, ids: np.ndarray, label_set: LabelSet, alpha: float = 0.5, outline: bool = True
) -> np.ndarray:
    """Tint the regions of a face; background and ignored pixels are unchanged.

    Args:
      image: uint8 [H, W, 3].
      ids: uint8 [H, W], class ids; 255 = ignore.
      label_set: what the ids mean.
      alpha: opacity of the class colour, 0 (photo) to 1 (flat colour).
      outline: draw a one-pixel contour in the pure class colour.

    Returns:
      uint8 [H, W, 3].

    Raises:
      ValueError: image and ids differ in size.
    """
    if image.shape != (*ids.shape, 3):
        raise ValueError(f"image {image.shape} and class map {ids.shape} differ in size")
    result = image.copy()
    inside = (ids != BACKGROUND) & (ids != IGNORE)
    colors = colorize(ids, label_set)
    result[inside] = np.round((1 - alpha) * image[inside] + alpha * colors[inside]).astype(np.uint8)
    if outline:
        edge = contour(ids)
        result[edge] = colors[edge]
    return result


def contour(ids: np.ndarray) -> np.ndarray:
    """Find the one-pixel contour of every region.

    Next to the background it is the region's own last pixel. Between two regions it belongs to the upper or left one
    only, so that no line is two pixels wide.

    Args:
      ids: uint8 [H, W], class ids; 255 = ignore.

    Returns:
      bool [H, W], never set on background or ignored pixels.
    """
    padded = np.pad(ids, 1, mode="edge")
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    open_side = np.zeros(ids.shape, bool)
    for neighbour in (up, down, left, right):
        open_side |= (neighbour == BACKGROUND) | (neighbour == IGNORE)
    seam = (down != ids) | (right != ids)
    return (open_side | seam) & (ids != BACKGROUND) & (ids != IGNORE)


def error_kinds(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Classify the error at each pixel.

    Args:
      prediction: uint8 [H, W], class ids.
      truth: uint8 [H, W], class ids; 255 = ignore.

    Returns:
      uint8 [H, W]: CORRECT, MISSED, INVENTED or CONFUSED; 255 where the truth is 255.
    """
    kinds = np.full(truth.shape, CONFUSED, np.uint8)
    kinds[prediction == BACKGROUND] = MISSED
    kinds[truth == BACKGROUND] = INVENTED
    kinds[prediction == truth] = CORRECT
    kinds[truth == IGNORE] = IGNORE
    return kinds


def error_map(prediction: np.ndarray, truth: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Draw the errors in three colours (`ERROR_KINDS`).

    Args:
      prediction: uint8 [H, W], class ids.
      truth: uint8 [H, W], class ids; 255 = ignore.
      image: uint8 [H, W, 3] shown dim and grey where the prediction is correct.

    Returns:
      uint8 [H, W, 3].
    """
    kinds = error_kinds(prediction, truth)
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    result = np.minimum(np.array(MAT, np.float32) + 0.42 * luma[..., None], 255).astype(np.uint8)
    for kind, (_, color) in ERROR_KINDS.items():
        result[kinds == kind] = color
    return result


def legend(label_set: LabelSet, present: Collection[int] | None = None, width: int = 900) -> np.ndarray:
    """Draw colour swatches with the long class names, wrapped into lines.

    Args:
      label_set: the classes.
      present: ids to show, or None for all.
      width: width in pixels.

    Returns:
      uint8 [height, width, 3], on the mat.
    """
    labels = [label for label in label_set.labels if present is None or label.id in present]
    return swatches([(label.title, label.color) for label in labels], width)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Load the font of all text in images: the one that ships with matplotlib, so they look the same everywhere."""
    package = Path(importlib.util.find_spec("matplotlib").origin).parent  # found without importing it
    return ImageFont.truetype(package / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def swatches(entries: list[tuple[str, tuple[int, int, int]]], width: int) -> np.ndarray:
    """Draw a legend of (text, RGB) entries, wrapped at `width` pixels: uint8 [height, width, 3], on the mat."""
    letters, line, swatch, gap = font(13), 24, 14, 22
    places, x, y = [], 0, 0
    for text, color in entries:
        length = swatch + 8 + round(letters.getlength(text))
        if x > 0 and x + length > width:
            x, y = 0, y + line
        places.append((x, y, text, color))
        x += length + gap
    canvas = Image.new("RGB", (width, y + line), MAT)
    draw = ImageDraw.Draw(canvas)
    for x, y, text, color in places:
        box = (x, y + 5, x + swatch, y + 5 + swatch)
        draw.rounded_rectangle(box, radius=3, fill=color, outline=(92, 96, 106))
        draw.text((x + swatch + 8, y + line / 2), text, fill=TEXT, font=letters, anchor="lm")
    return np.asarray(canvas)
