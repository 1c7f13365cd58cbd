"""IR-SE-50 with ArcFace (published network and loss) on drawn people: 112 px, 512 numbers a face.

Photos of people take the same config: data with `identity`, --config.model.people=PEOPLE.
Head start  a converted model: --config.model.init_from=MODEL (l2s convert identity_encoder model_ir_se50.pth)

Command   l2s train --config identity_ir_se50
Hardware  1 accelerator with 16 GB; batch 256 over all of them
Time      20,000 batches. Not yet trained here.
"""

from l2s_jax.config import default
from l2s_jax.systems.identity_encoder.config import published


def get_config():
    config = published(default("identity_encoder").unlock(), "ir_se50")
    config.model.people = 10_000
    config.data.train = "synthetic:200000/10000?train"
    config.data.eval = "synthetic:1000/250?val"
    config.data.test = "synthetic:4000/1000?test"
    config.data.batch_size = 256
    config.data.workers = 8
    config.train.steps = 20_000
    config.train.best_metric = "verification.auc"
    config.optim.network.warmup_steps = 500
    config.optim.network.learning_rate = 1e-3
    config.eval.batch_size = 100
    config.precision.compute = "bfloat16"
    return config.lock()
