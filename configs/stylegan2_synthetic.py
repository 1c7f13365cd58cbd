"""StyleGAN2 (ours) at 64 px on synthetic faces, sized for two CPU cores.

Command   l2s train --config stylegan2_synthetic
Hardware  2 CPU cores
Trained   0.4 M parameters each for generator and discriminator, batch 16; both learn from every batch, path lengths
          are penalised every 4th, R1 every 16th
Score     kernel and Frechet distance of generated faces from drawings it has not seen, beside those of an untrained
          generator, of the mean face and of other drawings
Limits    it has seen drawings only, and knows no people
"""

from input_pipeline.images.augment import OFF
from l2s_jax.config import default


def get_config():
    config = default("stylegan2").unlock()
    config.image_size = 64
    config.data.train = "synthetic:20000"
    config.data.eval, config.data.test = "synthetic:500?val", "synthetic:500?test"
    config.data.batch_size, config.eval.batch_size = 16, 50
    config.data.cache = True  # 0.25 GB
    config.data.augment.update(OFF)
    config.train.steps = 20_000  # 320,000 images
    config.train.log_every = 100
    config.train.eval_every = config.train.save_every = 1000
    config.train.best_metric = "-generation.kernel_distance"
    return config.lock()
