"""Latents2Segments as published, at an eighth of the widths and 64 px on synthetic faces: what its defects do.

Losses, weights, alternation, second normalisation, one-channel slices, painter rule and Adam are the authors'; widths
are an eighth of theirs and crops half as many, so that two CPU cores can train it, and the style code is one halving
shallower (a 64 px face leaves 4x4 cells). Compare with `demo` on the same faces.

Command   l2s train --config l2s_published_64
Hardware  2 CPU cores
Time      800 batches of 8 took 47 CPU minutes
Score     painter F1 .12 on 200 unseen faces (mean mask .63), PSNR 7.3 dB (mean face 15.2), macro ACS .16: one smear for
          all faces, two of five slices dead. Not a verdict on the method: the paper's model saw far more faces
"""

from l2s_jax.config import default
from l2s_jax.systems.latents2segments.config import published


def get_config():
    config = published(default("latents2segments").unlock())
    config.image_size = 64
    config.data.train = "synthetic:4000"
    config.data.eval = "synthetic:100?val"
    config.data.test = "synthetic:200?test"
    config.data.batch_size = 8
    config.data.cache = True
    config.data.augment.flip = 0.5
    config.model.style = 256
    config.model.residual.base_width = 4
    config.model.residual.style_downsamplings = 1
    config.model.generator.head_widths = (32, 64)
    config.model.generator.widths = (64, 64, 32, 16)
    config.model.discriminator.channel_base = 2048
    config.model.discriminator.max_width = 64
    config.model.patch.channel_base = 512
    config.model.patch.max_width = 48
    config.model.patch.head_widths = (256, 256, 128)
    config.model.patch.crops = 4
    config.model.patch.crop_size = 32
    config.train.steps = 800
    config.train.log_every = 50
    config.train.eval_every = config.train.save_every = 100
    config.train.keep = 8  # all of them, for experiments/over_time.py
    config.eval.batch_size = 20
    return config.lock()
