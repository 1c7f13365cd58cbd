"""Independent Subspaces (ours, in the spirit of the paper) on synthetic faces of 128 px, sized for two CPU cores.

Command   l2s train --config subspaces_synthetic
Hardware  2 CPU cores
Time      15 min 53 s, compilation, scoring and report included
Score     200 unseen faces (synthetic:200?test), one seed: mean F1 of face, brows, eyes, mouth 0.911 (mean mask 0.508),
          0.927 with the background; PSNR 26.8 dB (mean face 15.0); macro ACS 0.852 (random generator 0.62), without the
          matte 0.805; normalised HSIC 0.043 (shuffled 0.000); swapped parts: change outside / inside 0.009, seam 0.74
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
