"""A parser of 32 px to try a launch: four batches, then the whole end of a training; it learns nothing.

Command   bash experiments/launch/two_hosts.sh --smoke
Hardware  anything
Time      two processes on two CPU cores busy with other work: 3.5 minutes, most of it imports and compiling
Score     not worth a number
"""

from l2s_jax.config import default


def get_config():
    config = default("segface").unlock()
    config.label_set = "celebamask"
    config.image_size = 32
    config.data.train = "synthetic:16"
    config.data.eval = "synthetic:8?val"
    config.data.test = "synthetic:8?test"
    config.data.batch_size = 8
    config.model.backbone = "mini"
    config.model.channels = 16
    config.model.pyramid = (8, 8, 8)
    config.train.steps = 4
    config.train.log_every = 2
    config.train.eval_every = 0
    config.train.save_every = 2
    config.eval.batch_size = 8
    return config.lock()
