"""MobileFaceNet (published network) finds 68 landmarks of drawn faces: 112 px.

Head start  a converted model: --config.model.init_from=MODEL (l2s convert landmark_regressor FILE)

Command   l2s train --config landmarks_mobilefacenet
Hardware  1 accelerator with 16 GB; batch 256 over all of them
Time      20,000 batches. Not yet trained here.
"""

from l2s_jax.config import default
from l2s_jax.systems.landmark_regressor.config import published


def get_config():
    config = published(default("landmark_regressor").unlock())
    config.data.train = "synthetic:200000?train"
    config.data.eval = "synthetic:500?val"
    config.data.test = "synthetic:2000?test"
    config.data.batch_size = 256
    config.data.workers = 8
    config.train.steps = 20_000
    config.train.best_metric = "-landmarks.nme"
    config.optim.network.warmup_steps = 500
    config.eval.batch_size = 100
    config.precision.compute = "bfloat16"
    return config.lock()
