"""The resolution schedule (progressive resizing): the side of the images as a function of the step."""

import json
from collections.abc import Sequence

from input_pipeline.errors import UserError


def check_resolution_schedule(pairs: Sequence[tuple[int, int]]) -> None:
    """Check that `pairs` are steps and sides as `train_batches` takes them.

    Raises:
      UserError: they are not pairs of integers above 0, or the steps do not increase.
    """
    if not all(map(_is_pair, pairs)) or (steps := [step for step, _ in pairs]) != sorted(set(steps)):
        raise UserError(
            f"data.resolution_schedule={json.dumps(pairs)} must be pairs [step, side] of whole numbers above 0, each "
            "with a later step than the one before, like [[1000, 64], [2000, 96]]"
        )


def sides_by_field(image_size: int, resolution_schedule: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
    """Return every image side used in training, with the config field it comes from."""
    return [("image_size", image_size), *(("data.resolution_schedule", side) for _, side in resolution_schedule)]


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(type(n) is int and n > 0 for n in pair)
