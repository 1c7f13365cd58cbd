"""The cells of the grids that `l2s edit VERB` draws: photos, decoded and edited faces, and what has changed."""

from collections.abc import Sequence

import numpy as np

from l2s_jax.inference.editor import Editor
from l2s_jax.inference.edits import Edit
from l2s_jax.report.image_grid import fit

SIDES = 128, 256
"""Longer side of the pictures of a grid, least and most, pixels."""

_GAIN = 4


def row(editor: Editor, photos: Sequence[np.ndarray], edit: Edit) -> list[np.ndarray]:
    """Return the cells of an edit: all photos as the model sees them, the edit, and what it has changed.

    Args:
      editor: the model.
      photos: uint8 [H, W, 3], of any sizes.
      edit: the edit of the first.

    Returns:
      uint8 [h, w, 3] of one size, one for each of `titles`.
    """
    change = np.minimum(_GAIN * np.abs(edit.after.astype(np.int16) - edit.before), 255).astype(np.uint8)
    cells = [*map(editor.square, photos), edit.before, edit.after, change]
    return [cell(each) for each in cells + ([editor.square(edit.image)] if edit.blend else [])]


def titles(edit: Edit, *photos: str) -> list[str]:
    """Return the titles of the columns of `row`; `photos` are those of the photos."""
    return [*photos, "decoded", "edited", f"change x {_GAIN}", *(["in the photo"] if edit.blend else [])]


def cell(image: np.ndarray, sides: tuple[int, int] = SIDES) -> np.ndarray:
    """Resize an image uint8 [H, W, 3] so that its longer side lies within bounds."""
    return fit(image, int(np.clip(max(image.shape), *sides)))
