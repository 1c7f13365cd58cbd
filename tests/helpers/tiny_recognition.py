"""Identity encoders and landmark regressors at sizes a test can afford, and faces for them."""

import numpy as np

from l2s_jax import config as configs
from tests.helpers.tiny_l2s import changed

SIZE, PEOPLE, POINTS = 16, 6, 68
BATCH_NORM = {
    "identity_encoder": {"model__network": "tiny_iresnet"},
    "landmark_regressor": {"model__network": "tiny_mobilefacenet"},
}
"""Changes that give each system a network with batch normalisation."""


def config(system, **changes):
    """Our recipe at 16 px with a narrow small network; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default(system).unlock()
    tiny.image_size = SIZE
    tiny.model.width = 8
    if system == "identity_encoder":
        tiny.model.outputs, tiny.model.people, tiny.loss.scale = 8, PEOPLE, 16.0
    tiny.optim.network.learning_rate, tiny.optim.network.warmup_steps = 1e-2, 1
    return changed(tiny, changes)


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of noisy pictures: the colour tells the person, a bright dot where the 68 points are."""
    rng = np.random.default_rng(seed)
    identity = np.arange(count, dtype=np.int32) % PEOPLE
    colours = np.array([[r, g, b] for r in (-0.7, 0.7) for g in (-0.7, 0.7) for b in (-0.7, 0.7)])[1 + identity]
    centre = rng.uniform(4, SIZE - 4, (count, 2))
    shape = np.random.default_rng(2).uniform(-3, 3, (POINTS, 2))
    at = np.arange(SIZE) + 0.5
    near = ((at[None, :, None] - centre[:, 1, None, None]) ** 2 + (at[None, None] - centre[:, 0, None, None]) ** 2) < 4
    image = colours[:, None, None] + rng.normal(0, 0.05, (count, SIZE, SIZE, 3))
    return {
        "image": np.where(near[..., None], 1.0, image).astype(np.float32),
        "identity": identity,
        "landmarks": (centre[:, None] + shape[None]).astype(np.float32),
        "weight": np.ones(count, np.float32),
    }
