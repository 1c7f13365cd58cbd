"""Independent Subspaces (ours, in the spirit of the paper) at 128 px on 800 real faces, sized for two CPU cores.

Faces and splits are those of configs/l2s_celebamask_mini.py.

Command   l2s train --config subspaces_celebamask_mini --config.model.init_from=runs/subspaces
Hardware  2 CPU cores, or any accelerator
Time      see experiments/LOG.md
Score     see experiments/LOG.md
Trained   from the weights of subspaces_synthetic
"""

from l2s_jax.config import default


def get_config():
    config = default("independent_subspaces").unlock()
    config.image_size = 128
    faces = "folder:data/celebamask_mini"
    config.data.train = f"{faces}?train[:740]"
    config.data.eval = f"{faces}?train[740:]"  # chooses the best checkpoint; the val faces choose nothing
    config.data.test = f"{faces}?val"
    config.data.batch_size = 16
    config.data.cache = True
    config.train.steps = 400
    config.train.log_every = 50
    config.train.eval_every = 200
    config.train.save_every = 100
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 2e-3
        config.optim[network].decay = "cosine"
    config.optim.ema = 0.99
    return config.lock()
