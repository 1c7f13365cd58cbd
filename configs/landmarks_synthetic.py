"""A landmark regressor (ours) on drawn faces, sized for two CPU cores: 68 points in pictures of 64 px.

Command   l2s train --config landmarks_synthetic
Hardware  2 CPU cores, or any accelerator
Time      1000 batches of 8 GFLOP: about 5 minutes of two quiet cores (estimated)
Score     after 600 batches on 4000 faces, 3 minutes of two shared cores, on 200 unseen faces, one seed: NME
          0.074 (1.52 px; the mean shape 0.099, 2.03 px), 11 % of the faces above 0.1 (42 %). Not yet
          trained to the end.
"""

from l2s_jax.config import default


def get_config():
    config = default("landmark_regressor").unlock()
    config.image_size = 64
    config.data.train = "synthetic:10000?train"
    config.data.eval = "synthetic:200?val"
    config.data.test = "synthetic:500?test"
    config.data.batch_size = 32
    config.data.cache = True
    config.train.steps = 1000
    config.train.log_every = 50
    config.train.eval_every = 250
    config.train.save_every = 250
    config.train.best_metric = "-landmarks.nme"
    config.eval.batch_size = 50
    return config.lock()
