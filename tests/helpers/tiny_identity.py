"""Face Identity Disentanglement at sizes a test can afford: every part, few channels."""

import numpy as np

from l2s_jax import config as configs
from tests.helpers.tiny_l2s import changed

SIZE, ENCODER_STEPS = 16, 3


def config(**changes):
    """Our recipe on drawn faces of 16 px; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default("id_disentanglement").unlock()
    tiny.image_size = SIZE
    tiny.encoders.steps, tiny.encoders.people, tiny.train.steps = ENCODER_STEPS, 5, ENCODER_STEPS + 12
    for name in ("identity", "evaluator", "attributes"):
        tiny.model[name].outputs, tiny.model[name].width = 6, 8
    tiny.model.landmarks.width = 8
    tiny.model.mapper.widths, tiny.model.discriminator.widths = (16, 12), (8, 8)
    tiny.schedule.ridge_faces = 64
    for group in ("encoders", "mapper", "adversarial", "discriminator"):
        tiny.optim[group].warmup_steps = 0
    return changed(tiny, changes)


def draws(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of random numbers."""
    seeds = np.random.default_rng(seed).integers(0, 2**32, (count, 2), dtype=np.uint32)
    return {"seed": seeds, "weight": np.ones(count, np.float32)}


def padded(batch: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The batch with `rows` rows of weight 0 at its end, which must not matter."""
    more = draws(rows, seed=99) | {"weight": np.zeros(rows, np.float32)}
    return {name: np.concatenate((batch[name], more[name])) for name in batch}
