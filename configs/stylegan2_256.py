"""StyleGAN2 with the sizes and the recipe of NVIDIA's `paper256`, on any folder of faces, for accelerators.

Command   l2s train --config stylegan2_256 --config.data.root=FOLDER   (with faces/train/images and faces/val/images)
Hardware  one accelerator or several; not run by us
Trained   as published: 24.8 M + 24.0 M parameters, batch 64, gamma 1, path lengths every 4th batch, R1 every 16th
Ours      bfloat16 in all convolutions, without loss scaling and clamping; the running average forgets its beginning
          faster; every image draws its own layer of style mixing; the deviation is that of consecutive rows
Limits    NVIDIA trains for 25,000,000 images: 390,625 batches
"""

from input_pipeline.images.augment import OFF
from l2s_jax.config import default
from l2s_jax.systems.stylegan2.config import published


def get_config():
    config = published(default("stylegan2").unlock())
    config.data.train, config.data.eval = "folder:faces?train", "folder:faces?val"
    config.data.augment.update(OFF | {"flip": 0.5})
    config.eval.batch_size = 64
    config.precision.compute = "bfloat16"
    config.train.steps = 390_625
    config.train.eval_every = config.train.save_every = 4000
    config.train.best_metric = "-generation.kernel_distance"
    return config.lock()
