"""Independent Subspaces (ours, in the spirit of the paper) on synthetic faces of 128 px, sized for two CPU cores.

Command   l2s train --config subspaces_synthetic
Hardware  2 CPU cores
Time      see experiments/LOG.md
Score     see experiments/LOG.md
Trained   on the faces of the demo, with its optimisers
"""

from l2s_jax.config import default, load, shipped_file


def get_config():
    config, demo = default("independent_subspaces").unlock(), load(shipped_file("demo"))
    for group in ("data", "train", "eval", "optim"):
        config[group].update(demo[group])
    config.image_size = 128
    config.train.steps = 420
    config.train.save_every = 100
    return config.lock()
