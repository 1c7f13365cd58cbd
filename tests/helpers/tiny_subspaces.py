"""Independent Subspaces at sizes a test can afford: every part, few channels."""

import numpy as np

from input_pipeline.labels import IGNORE
from l2s_jax import config as configs
from tests.helpers import tiny_l2s
from tests.helpers.tiny_l2s import changed

SIZE = tiny_l2s.SIZE


def config(**changes):
    """Our recipe at 16 px, without adversaries; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default("independent_subspaces").unlock()
    tiny.image_size = SIZE
    tiny.model.style = 8
    tiny.model.subspaces = (4, 3, 2, 2, 2)
    tiny.model.pyramid.widths, tiny.model.pyramid.depths = (8, 16), (1, 1)
    tiny.model.pyramid.light_width = tiny.model.decoder.width = 8
    tiny.model.decoder.blocks = 1
    tiny.independence.queue, tiny.independence.ramp = 6, 4
    return changed(tiny, changes)


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of noise images with blocky masks of all five parts."""
    batch = tiny_l2s.faces(count, seed)
    return {name: batch[name] for name in ("image", "weight")} | {"mask": batch["mask"] % 5}


def unlabelled(batch: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    """The batch with some rows of its masks all 255."""
    mask = batch["mask"].copy()
    mask[rows] = IGNORE
    return batch | {"mask": mask}
