"""SegFace at sizes a test can afford."""

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.images.components import blobs
from input_pipeline.landmarks import TEMPLATE
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.types import PyTree
from tests.helpers.random_weights import lively
from tests.helpers.tiny_l2s import changed

SIZE, BLOBS = 32, 16
AGREEING = {"loss__consensus__weight": 0.1, "data__blobs": BLOBS}
"""Changes that add the consensus of the pieces of the mask."""


def config(**changes):
    """Our recipe at 32 px with a tiny ConvNeXt that leaves nothing out; `changes` by dotted name with `__` for dots."""
    tiny = configs.default("segface").unlock()
    tiny.image_size, tiny.label_set = SIZE, "lapa"
    tiny.model.backbone, tiny.model.stochastic_depth, tiny.model.channels = "tiny_convnext", 0.0, 16
    tiny.model.decoder.update({"depth": 1, "heads": 2, "mlp": 16, "pixel_channels": 8})
    tiny.optim.network.learning_rate, tiny.optim.network.warmup_steps = 1e-2, 1
    return changed(tiny, changes)


def faces(count: int, label_set: str = "lapa", seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of blocky masks and their blobs in noisy colours, and upright landmarks."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, len(labels.get(label_set)), (count, 4, 4))
    mask = blocks.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2).astype(np.int32)
    colours = labels.get(label_set).palette[mask] / 127.5 - 1
    points = TEMPLATE[None] * SIZE + rng.normal(0, 1, (count, 5, 2))
    return {
        "image": (colours + rng.normal(0, 0.1, colours.shape)).astype(np.float32),
        "mask": mask,
        "blobs": np.stack([blobs(each, BLOBS, min_pixels=1) for each in mask]),
        "weight": np.ones(count, np.float32),
        "landmarks": points.astype(np.float32),
    }


def save(folder: Path, config: ConfigDict, variables: PyTree | None = None) -> Path:
    """Save a model of a config: these variables, or random ones; return its folder."""
    system = systems.build(config)
    if variables is None:
        variables = lively(jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0)))))
    meta = bundle.Meta("tiny", "segface", config.to_dict(), system.label_set, bundle.Preprocessing(SIZE), "CC0-1.0")
    bundle.save(folder, variables, meta)
    return folder
