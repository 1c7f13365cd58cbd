"""Latents2Segments at sizes a test can afford: every part, few channels."""

import numpy as np

from input_pipeline.images.components import blobs
from l2s_jax import config as configs
from l2s_jax.systems.latents2segments import config as l2s_config
from l2s_jax.systems.sliced.fields import add_gan

SIZE, BLOBS = 16, 16


def config(**changes):
    """The `l2s` preset at 16 px with all terms; `changes` by dotted name with `__` for the dot."""
    tiny = add_gan(configs.default("latents2segments").unlock())
    tiny.model.discriminator.judges, tiny.loss.patch = "regions", 0.1
    tiny.image_size = SIZE
    tiny.model.style = 8
    tiny.model.slices = (2,) * 6
    tiny.model.pyramid.widths, tiny.model.pyramid.depths = (8, 16), (1, 1)
    tiny.model.pyramid.light_width = tiny.model.decoder.width = 8
    tiny.model.decoder.blocks = 1
    tiny.model.discriminator.channel_base = 128
    tiny.model.patch.channel_base, tiny.model.patch.head_widths = 64, (16,)
    tiny.model.patch.crops, tiny.model.patch.crop_size = 2, 8
    tiny.loss.region, tiny.loss.independence, tiny.loss.consensus.weight = 0.1, 0.1, 0.1
    tiny.independence.queue, tiny.independence.ramp = 8, 0
    tiny.data.blobs = BLOBS
    return changed(tiny, changes)


def quiet(**changes):
    """`config` without adversaries."""
    gan = {f"loss__{name}": 0.0 for name in ("gan_reconstruction", "gan_mix", "patch")}
    return config(schedule__discriminator_every=0, **gan, **changes)


def published(**changes):
    """The `published` preset at 16 px, with few halvings; `changes` as for `config`."""
    tiny = l2s_config.published(config().unlock())
    tiny.model.style = 8
    tiny.model.residual.update(base_width=4, max_width=16, downsamplings=2, style_downsamplings=1)
    tiny.model.generator.head_widths, tiny.model.generator.widths = (8,), (8, 8)
    tiny.model.discriminator.channel_base = tiny.model.patch.channel_base = 64
    tiny.model.patch.head_widths, tiny.model.patch.crops, tiny.model.patch.crop_size = (8,), 2, 8
    return changed(tiny, changes)


def changed(tiny, changes):
    """`tiny`, locked, with `changes` by dotted name with `__` for the dot."""
    tiny.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return tiny.lock()


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of noise images with blocky masks of all six regions, and their blobs."""
    rng = np.random.default_rng(seed)
    blocks = np.stack([rng.permutation(np.arange(16) % 6).reshape(4, 4) for _ in range(count)])
    mask = blocks.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2).astype(np.int32)
    image = rng.uniform(-1, 1, (count, SIZE, SIZE, 3)).astype(np.float32)
    pieces = np.stack([blobs(each, BLOBS, min_pixels=1) for each in mask])
    return {"image": image, "mask": mask, "blobs": pieces, "weight": np.ones(count, np.float32)}


def padded(batch: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The batch with `rows` rows of weight 0 at its end, full of values that must not matter."""
    more = faces(rows, seed=99)
    more["weight"] = np.zeros(rows, np.float32)
    return {name: np.concatenate((batch[name], more[name])) for name in batch}
