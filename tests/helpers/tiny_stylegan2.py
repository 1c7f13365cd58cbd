"""StyleGAN2 at sizes a test can afford: every part, few channels."""

import numpy as np

from l2s_jax import config as configs
from tests.helpers.tiny_l2s import changed

SIZE, GROUP = 8, 2


def config(**changes):
    """At 8 px, groups of two; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default("stylegan2").unlock()
    tiny.image_size = SIZE
    tiny.data.batch_size = 4
    tiny.model.code, tiny.model.mapping_layers = 6, 2
    tiny.model.channel_base, tiny.model.max_width = 32, 6
    tiny.model.discriminator.update(channel_base=32, max_width=6, group=GROUP)
    tiny.loss.r1 = 1.0
    tiny.train.best_metric = "-generation.kernel_distance"
    return changed(tiny, changes)


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of noise images, as bytes over 127.5."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3))
    return {"image": np.float32(pixels / 127.5 - 1), "weight": np.ones(count, np.float32)}


def padded(batch: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The batch with `rows` rows of weight 0 at its end, full of values that must not matter."""
    more = faces(rows, seed=99)
    more["weight"] = np.zeros(rows, np.float32)
    return {name: np.concatenate((batch[name], more[name])) for name in batch}
