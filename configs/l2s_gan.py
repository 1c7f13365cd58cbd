"""Latents2Segments (ours) with adversarial training at 64 px on synthetic faces, sized for two CPU cores.

Command   l2s train --config l2s_gan --config.model.init_from=runs/demo
Hardware  2 CPU cores
Time      0.6 to 1 batches/s beside other work, 800 batches in about 20 minutes
Score     200 unseen faces, after 800 batches (400 of the discriminator's): kernel distance of reconstructions from
          pictures of other faces 0.80, of swaps 0.86; without adversaries, same updates, 1.80 and 1.92; mean F1 0.885
          and 0.886, PSNR 25.4 and 25.7 dB. One seed, trained in two parts of 400 batches
Trained   from the weights of the demo; the discriminator judges composed faces, half of their slices swapped, on every
          other batch. Without adversaries, for comparison: --config.schedule.discriminator_every=0
          --config.loss.gan_reconstruction=0 --config.loss.gan_mix=0 --config.train.steps=400
"""

from l2s_jax.config import load, shipped_file
from l2s_jax.systems.sliced.fields import add_gan


def get_config():
    config = add_gan(load(shipped_file("demo")).unlock())
    config.image_size = 64
    config.train.steps = 800
    config.train.log_every = 25
    config.train.save_every = 100
    config.train.export = "last"
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 1e-3
        config.optim[network].warmup_steps = 20
    config.loss.gan_reconstruction = config.loss.gan_mix = 0.1
    config.loss.r1 = 1.0  # small images want less than the published 10
    return config.lock()
