"""Face Identity Disentanglement on drawn faces whose factors can be read off any code, all networks from nothing.

Command   l2s train --config identity_oracle
Hardware  2 CPU cores
"""

from l2s_jax.config import default


def get_config():
    config = default("id_disentanglement").unlock()
    config.data.train = "random:1000000"  # each a face of its own, drawn when it is needed
    config.data.eval, config.data.test = "random:256?val", "random:512?test"
    config.data.batch_size, config.eval.batch_size = 16, 64
    config.train.steps = 4800
    config.train.log_every = 50
    config.train.eval_every = 0  # the last state is the best: rates fall to 0
    config.train.save_every = 500
    config.train.best_metric = "transfer.score"
    return config.lock()
