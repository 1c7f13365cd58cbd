"""Convert examples to rows of a batch, and collate rows to a batch."""

from collections.abc import Sequence

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.types import Example

Batch = dict[str, np.ndarray]
Row = dict[str, np.ndarray]
OPTIONAL = ("landmarks", "identity", "identity_factors", "attribute_factors", "seed")
"""Arrays of an example that a batch carries along if the data have them."""
INTEGERS = {"identity": np.int32, "seed": np.uint32}
"""Those of `OPTIONAL` that are integers, and their types; the others are float32."""


def to_row(example: Example) -> Row:
    """Convert an example to a row of a batch; image and ids stay uint8.

    Args:
      example: of the network's size, its mask in the label set of the batch; or without an image.

    Returns:
      `weight` 1; `image` uint8 [H, W, 3] and `mask` uint8 [H, W] (all 255 without labels) of an example with an image;
      and its `OPTIONAL` arrays, in float32 but for the integers of `INTEGERS`.
    """
    row = {"weight": np.float32(1)}
    if "image" in example:
        row |= {"image": example["image"], "mask": mask_of(example)}
    kinds = {key: INTEGERS.get(key, np.float32) for key in OPTIONAL if key in example}
    return row | {key: np.asarray(example[key], kind) for key, kind in kinds.items()}


def padding_like(other: Row) -> Row:
    """Return a padding row: weight 0, mask 255, and the shapes of another row."""
    padding = {key: np.zeros_like(array) for key, array in other.items()}
    return padding | ({"mask": np.full_like(other["mask"], labels.IGNORE)} if "mask" in other else {})


def mask_of(example: Example) -> np.ndarray:
    """Return the mask of an example; 255 everywhere if it has none."""
    return example["mask"] if "mask" in example else np.full(example["image"].shape[:2], labels.IGNORE, np.uint8)


def stack(rows: Sequence[Row]) -> Batch:
    """Collate rows into a batch (docs/architecture.md): images uint8 [B, H, W, 3], masks uint8 [B, H, W].

    Raises:
      UserError: rows with different `OPTIONAL` arrays, or of different shapes.
    """
    for key in OPTIONAL:
        require(
            len({each[key].shape if key in each else None for each in rows}) <= 1,
            f"not all faces have '{key}', or not of one shape: give all of them the same, or make those that "
            "differ parts of a mixture, which keeps what all parts have",
        )
    return {key: np.stack([each[key] for each in rows]) for key in rows[0]}


def local_batch(batch_size: int, process_count: int) -> int:
    """Return how many rows of a global batch belong to each process.

    Raises:
      UserError: the batch is not divisible by the number of processes.
    """
    fits = batch_size >= 1 and batch_size % process_count == 0
    require(fits, f"a batch of {batch_size} does not divide among {process_count} processes: choose a multiple")
    return batch_size // process_count
