"""Reading of landmarks from text files."""

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.readers.listing import read_text

_FARTHEST = 1e6  # pixels; hidden points may lie outside of the photo, but no point of a face lies this far away


def read_points(path: epath.Path, count: int) -> np.ndarray:
    """Read float32 [count, 2] (x, y) from a text file of 2 * `count` numbers separated by blanks or lines.

    Raises:
      UserError: no such file, something that is not a number, another number of points, or a point more than a million
        pixels away.
    """
    return parse_points(read_text(path).split(), count, str(path))


def parse_points(words: list[str], count: int, name: str) -> np.ndarray:
    """Parse the words of a file called `name` as `read_points` does."""
    if len(words) != 2 * count:
        raise UserError(
            f"'{name}' holds {len(words)} numbers instead of {2 * count} ({count} points x y): replace the file"
        )
    try:
        points = np.array([float(word) for word in words]).reshape(count, 2)
    except ValueError as error:
        raise UserError(f"'{name}' holds something that is no number ({error}): replace the file") from error
    if not (np.abs(points) <= _FARTHEST).all():
        raise UserError(f"'{name}' holds a point that lies far outside of any picture: replace the file")
    return points.astype(np.float32)
