"""A contact sheet: faces above their coloured masks."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic.face import render


def contact_sheet(rows: int, columns: int, size: int, seed: int) -> np.ndarray:
    """Return uint8 [2 * rows * size, columns * size, 3]: faces 0, 1, ... of a stream, each row above its masks.

    Args:
      rows: number of rows of faces.
      columns: faces in a row.
      size: side of a face in pixels.
      seed: of the stream.
    """
    strips = []
    for row in range(rows):
        faces = [render(seed, row * columns + column, size) for column in range(columns)]
        strips.append(np.concatenate([face["image"] for face in faces], axis=1))
        strips.append(np.concatenate([CELEBAMASK.palette[face["mask"]] for face in faces], axis=1))
    return np.concatenate(strips)


def save_png(image: np.ndarray, path: Path) -> None:
    """Write uint8 [H, W, 3] under a temporary name, then rename.

    Raises:
      UserError: the folder is missing or cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        Image.fromarray(image).save(partial, format="PNG", optimize=True)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = error.strerror or error
        raise UserError(f"cannot write '{path}': {reason}; name a file in a writable folder") from error
