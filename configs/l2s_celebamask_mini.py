"""Latents2Segments (ours) at 128 px on 800 labelled real faces, sized for two CPU cores.

The faces are a subset of CelebAMask-HQ (non-commercial research) in data/celebamask_mini, official class order;
docs/data.md says how to make it, --config.data.root=DIR where data/ is. 740 of the 800 train faces train, the other 60
choose the checkpoint, the 100 val faces are scored once.

Command   l2s train --config l2s_celebamask_mini
Hardware  2 CPU cores, or any accelerator
Time      900 batches of 16 at 0.48 batches/s on two quiet cores (about 31 minutes), scoring 2 minutes
Score     val, 100 faces, 128 px: mean F1 0.891 by decoded slices (light head 0.889, mean mask 0.717): hair .881,
          skin .942, nose .905, eyes .831, lips .897 (0.890 at 512 px); PSNR 26.1 dB (mean face 11.9); macro ACS 0.888
          (random generator 0.675, chance 0.167), without the matte 0.669 (random generator 0.821: slices are silent
          outside their region by construction); leakage by probe 0.45, own outline 0.59; swapped slices: change
          outside / inside 0.032, seam 0.81 of true borders; no dead slice. One seed
Trained   masks of the decoded slices and of the light head, L1 of the image and of every region, on every batch; no
          adversarial terms
Limits    eyes (0.83) are a few pixels at 128 px, hair (0.88) has coarse labels; a swapped part brings no more than its
          region: under removed hair there is background, shadows and skin tones of the donor do not adapt
"""

from l2s_jax.config import default


def get_config():
    config = default("latents2segments").unlock()
    config.image_size = 128
    faces = "folder:data/celebamask_mini"
    config.data.train = f"{faces}?train[:740]"
    config.data.eval = f"{faces}?train[740:]"  # chooses the best checkpoint; the val faces choose nothing
    config.data.test = f"{faces}?val"
    config.data.batch_size = 16
    config.data.cache = True
    config.train.steps = 900
    config.train.max_minutes = 88.0
    config.train.log_every = 50
    config.train.eval_every = 250
    config.train.save_every = 250
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 3e-3
        config.optim[network].decay = "cosine"
    return config.lock()
