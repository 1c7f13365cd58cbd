"""Independent Subspaces (ours in the spirit of the paper) on synthetic faces of 128 px, sized for two CPU cores.

Command   l2s train --config subspaces_synthetic
Hardware  2 CPU cores
Time      see experiments/LOG.md
Score     see experiments/LOG.md
"""

from l2s_jax.config import default


def get_config():
    config = default("independent_subspaces").unlock()
    config.image_size = 128
    config.data.train = "synthetic:4000"
    config.data.eval = "synthetic:100?val"
    config.data.test = "synthetic:200?test"
    config.data.batch_size = 16
    config.data.cache = True
    config.data.augment.flip = 0.5
    # Every synthetic face has its own pose, light and camera; only colours are varied.
    for magnitude in ("rotate", "shift", "grey", "blur", "jpeg", "noise"):
        config.data.augment[magnitude] = 0.0
    config.data.augment.scale_min = config.data.augment.scale_max = 1.0
    config.train.steps = 420
    config.train.log_every = 30
    config.train.eval_every = 0
    config.train.save_every = 100
    config.eval.batch_size = 20
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 3e-3
        config.optim[network].warmup_steps = 30
        config.optim[network].decay = "cosine"
    config.optim.ema = 0.99
    return config.lock()
