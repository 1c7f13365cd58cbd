"""A face detector at a size a test can afford."""

from l2s_jax import config as configs
from tests.helpers.tiny_l2s import changed

SIZE = 64


def config(**changes):
    """Our recipe at 64 px with a narrow network; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default("face_detector").unlock()
    tiny.image_size = SIZE
    tiny.model.stem, tiny.model.join = 8, 16
    tiny.model.depths, tiny.model.widths = (0, 1, 0, 0), (8, 16, 16, 16)
    tiny.optim.network.learning_rate, tiny.optim.network.warmup_steps, tiny.optim.ema = 1e-2, 1, 0.9
    return changed(tiny, changes)
