"""Draw the swap triangle of the report: under each picture, which parts come from whom."""

import string
from collections.abc import Sequence

import numpy as np

from l2s_jax.report.image_grid import fit
from l2s_jax.report.overlays import font
from l2s_jax.report.triangle import FONT_SIZE, triangle

_CELL = 176  # pixels


def swap_triangle(images: np.ndarray, donors: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """Draw pictures in rows of 1, 2, 3 ..., each above the parts that it has from each face.

    Args:
      images: uint8 [R, H, W, 3], R = 1 + 2 + ... + n.
      donors: uint8 [R, K], the face that each part of a picture comes from.
      parts: K names.

    Returns:
      uint8 [*, *, 3].
    """
    cells = [fit(image, _CELL) for image in images]
    return triangle(cells, [_wrapped(caption(row, parts), _CELL) for row in donors])


def rows(count: int) -> list[range]:
    """Return the numbers of the pictures in each row of a triangle of `count`; the last row may be cut short."""
    found, start = [], 0
    while start < count:
        found.append(range(start, min(start + len(found) + 1, count)))
        start += len(found)
    return found


def caption(donors: np.ndarray, parts: Sequence[str]) -> list[str]:
    """Say which parts come from each face, a text a face: `A: hair, skin`, or `A` alone if all do.

    Args:
      donors: uint8 [K], the face of each part.
      parts: K names.
    """
    named = {
        face_name(face): [part for part, donor in zip(parts, donors, strict=True) if donor == face]
        for face in np.unique(donors)
    }
    return list(named) if len(named) == 1 else [f"{name}: {', '.join(own)}" for name, own in named.items()]


def face_name(face: int) -> str:
    """Return the letter of a face: A, B, C ..., or its number after the alphabet's end."""
    return string.ascii_uppercase[face] if face < len(string.ascii_uppercase) else str(face)


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    """Break texts into lines of at most `width` pixels, between words."""
    letters, lines = font(FONT_SIZE), []
    for text in texts:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".strip()
            if line and letters.getlength(longer) > width:
                lines.append(line)
                longer = f"  {word}"
            line = longer
        lines.append(line)
    return lines
