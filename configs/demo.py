"""The demo: Latents2Segments on synthetic faces, from nothing to masks in minutes on a laptop.

Command   l2s demo
Hardware  2 CPU cores
Time      7 min 3 s to 8 min 27 s (three runs) with an empty compilation cache, scoring and report included
Score     200 unseen faces (synthetic:200?test), mean (lowest to highest) of seeds 0, 1, 2: mean F1 over hair, skin,
          nose, eyes, lips 0.892 (0.889 to 0.897) by decoded slices, 0.887 by the light head, mean mask 0.640; PSNR
          25.3 dB (25.3 to 25.5), mean face 15.1; macro ACS 0.84 (0.83 to 0.85), random generator 0.35; without the
          matte 0.75 (0.73 to 0.78), random generator 0.70, chance 0.17; leakage by probe 0.45 (0.44 to 0.45), own
          outline alone 0.43; swapped slices: change outside / inside 0.02, seam 0.63 of true borders; no dead slice
"""

from l2s_jax.config import default


def get_config():
    config = default("latents2segments").unlock()
    config.image_size = 96
    config.data.train = "synthetic:4000"
    config.data.eval = "synthetic:100?val"
    config.data.test = "synthetic:200?test"  # a stream of its own: neither trained on nor chosen by
    config.data.batch_size = 16
    config.data.cache = True
    config.data.augment.flip = 0.5
    # Every synthetic face has its own pose, light and camera; only colours are varied.
    for magnitude in ("rotate", "shift", "grey", "blur", "jpeg", "noise"):
        config.data.augment[magnitude] = 0.0
    config.data.augment.scale_min = config.data.augment.scale_max = 1.0
    config.train.steps = 300
    config.train.log_every = 30
    config.train.eval_every = 0
    config.train.save_every = 110
    config.eval.batch_size = 20
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 3e-3
        config.optim[network].warmup_steps = 30
        config.optim[network].decay = "cosine"
    config.optim.ema = 0.99
    return config.lock()
