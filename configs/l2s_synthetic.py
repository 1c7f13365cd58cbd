"""Latents2Segments (ours) at 128 px on synthetic faces: the model that comes with the package, `l2s-synthetic`.

Our own drawings alone, so the model has our licence. It starts from the weights of the demo (96 px), which takes an
image of any size.

Command   l2s demo && l2s train --config l2s_synthetic --workdir runs/l2s_synthetic --config.model.init_from=runs/demo
Hardware  2 CPU cores
Time      10 minutes for the 200 batches of 16, beside other work, after the demo's 8
Score     200 unseen faces (synthetic:200?test), 128 px: mean F1 0.930 by decoded slices (light head 0.925, mean mask
          0.635); PSNR 26.9 dB (mean face 15.0); leakage by probe 0.38, own outline 0.41; swapped slices: change
          outside / inside 0.015, seam 0.68 of true borders. One seed
Limits    it has seen drawings only: photos of people come back as drawings do
"""

from l2s_jax.config import load, shipped_file


def get_config():
    config = load(shipped_file("demo")).unlock()
    config.image_size = 128
    config.train.steps = 200
    config.train.log_every = 25
    config.train.save_every = 100
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 2e-3
        config.optim[network].warmup_steps = 20
    return config.lock()
