"""Structure via Consensus at sizes a test can afford, and a teacher that knows colours."""

import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import SKIN_HAIR, remap
from l2s_jax import bundle
from l2s_jax import config as configs
from tests.helpers import fake_system
from tests.helpers.tiny_l2s import changed

SIZE, BLOBS = 24, 8
TAUGHT = {"stage": "teacher", "loss__consensus__blobs": "components", "data__blobs": BLOBS, "data__blob_pixels": 4}
"""Changes that make stage 1 of a config, with all its terms."""


def config(**changes):
    """Our recipe at 24 px with a narrow network; `changes` by dotted name with `__` for the dot."""
    tiny = configs.default("structure_via_consensus").unlock()
    tiny.image_size = SIZE
    tiny.model.width = 4
    tiny.optim.network.learning_rate, tiny.optim.network.warmup_steps = 1e-2, 1
    return changed(tiny, changes)


def save_teacher(path, image_size=SIZE, softness=1.0):
    """The bundle of a `fake_system`: six classes by colour, the softer the less certain."""
    conf = fake_system.fake_config("none").unlock()
    conf.image_size = image_size
    variables = fake_system.variables()
    colour = variables["parser"]["params"]["colour"]
    colour.update({name: np.asarray(array / softness, jnp.float32) for name, array in colour.items()})
    meta = bundle.Meta(
        name="teacher",
        system="fake",
        config=conf.lock().to_dict(),
        label_set=fake_system.LABELS,
        preprocessing=bundle.Preprocessing(image_size),
        licence="Apache-2.0",
    )
    bundle.save(path, variables, meta)
    return str(path)


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Blocks in the teacher's colours, without noise, and their masks in the student's classes."""
    ids = blocks(count, seed)
    mask = remap(fake_system.LABELS, SKIN_HAIR)[ids].astype(np.int32)
    image = fake_system.LABELS.palette[ids].astype(np.float32) / 127.5 - 1
    return {"image": image, "mask": mask, "weight": np.ones(count, np.float32)}


def blocks(count: int, seed: int = 0) -> np.ndarray:
    """The teacher's classes of `faces`, [B, H, W]."""
    coarse = np.random.default_rng(seed).integers(0, len(fake_system.LABELS), (count, 4, 4))
    return coarse.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2)
