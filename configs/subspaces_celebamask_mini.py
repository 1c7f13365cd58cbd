"""Independent Subspaces (ours, in the spirit of the paper) at 128 px on 800 real faces, sized for two CPU cores.

Command   l2s train --config subspaces_celebamask_mini --config.model.init_from=runs/subspaces
Hardware  2 CPU cores, or any accelerator
Time      400 batches of 16 in 22 minutes beside other work
Score     val, 100 faces, one seed: mean F1 of face, brows, eyes, mouth 0.859 (light head 0.856, mean mask 0.665): .941
          .783 .818 .894; PSNR 26.0 dB (mean face 11.9); macro ACS 0.905 (random generator 0.550), without the matte
          0.760; normalised HSIC 0.038 (shuffled 0.006); leakage 0.48, own outline 0.71; swapped parts: change outside /
          inside 0.014, seam 0.91 of true borders; no dead subspace
Limits    eyes against a mean mask of 0.749: the faces are aligned; background and hair share one style
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
