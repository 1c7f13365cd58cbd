"""Independent Subspaces (ours, in the spirit of the paper) at 128 px on 800 real faces, sized for two CPU cores.

Command   l2s train --config subspaces_celebamask_mini --config.model.init_from=runs/subspaces
Hardware  2 CPU cores, or any accelerator
Time      see experiments/LOG.md
Score     see experiments/LOG.md
Trained   from the weights of subspaces_synthetic, on the faces and splits of l2s_celebamask_mini
"""

from l2s_jax.config import default, load, shipped_file


def get_config():
    config, faces = default("independent_subspaces").unlock(), load(shipped_file("l2s_celebamask_mini"))
    for group in ("data", "train", "eval", "optim"):
        config[group].update(faces[group])
    config.image_size = 128
    config.train.steps = 400
    config.train.eval_every = 200
    config.train.save_every = 100
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 2e-3
    config.optim.ema = 0.99
    return config.lock()
