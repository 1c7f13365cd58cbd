"""Latents2Segments (ours) at 128 px on 800 labelled real faces, sized for two CPU cores.

The faces are a subset of CelebAMask-HQ (non-commercial research) in data/celebamask_mini, official class order;
docs/data.md says how to make it, --config.data.root=DIR where data/ is. 740 of the 800 train faces train, the other 60
choose the checkpoint, the 100 val faces are scored once.

Command   l2s train --config l2s_celebamask_mini
Hardware  2 CPU cores, or any accelerator
Time      42 minutes for the 1200 batches of 16, on two cores shared with other work
Score     val, 100 faces, 128 px: mean F1 0.887 over hair .886, skin .942, nose .898, eyes .813, lips .898
          (0.888 at 512 px); macro ACS 0.921, no dead slice; reconstruction L1 0.124, PSNR 21.8 dB
Trained   cross entropy + dice on every batch; L1 of the image and of every region, on half of every third batch;
          no adversarial terms: one discriminator batch costs as much as three others here
Limits    eyes (0.81) are a few pixels at 128 px, hair (0.89) has coarse labels; the reconstruction is soft because
          colours see 8 faces in every third batch and nothing but L1 judges them
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
    config.train.steps = 1200
    config.train.max_minutes = 88.0
    config.train.log_every = 50
    config.train.eval_every = 250
    config.train.save_every = 250
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 3e-3
        config.optim[network].decay = "cosine"
    return config.lock()
