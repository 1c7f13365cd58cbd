"""Face Identity Disentanglement as its authors trained it, at 256 px, as far as the networks exist here.

Command   l2s convert stylegan2 550000.pt --out models/stylegan2
          l2s convert identity_encoder model_ir_se50.pth --out models/ir_se50
          l2s convert landmark_regressor mobilefacenet_model_best.pth.tar --out models/mobilefacenet
          l2s train --config identity_published_256
Hardware  one GPU
Limits    the weights are not ours and for non-commercial use only (docs/methods/id_disentanglement.md); not run here
"""

from l2s_jax.config import default
from l2s_jax.systems.id_disentanglement.config import published


def get_config():
    config = published(default("id_disentanglement").unlock())
    config.generator.model = "models/stylegan2"
    config.encoders.identity, config.encoders.landmarks = "models/ir_se50", "models/mobilefacenet"
    config.data.train = "random:70000"
    config.data.eval, config.data.test = "random:300?val", "random:300?test"
    config.eval.batch_size = 6
    config.train.steps = 300_000  # not published; the reimplementation ran about as many
    config.train.log_every, config.train.eval_every, config.train.save_every = 100, 5000, 5000
    config.train.best_metric = "transfer.score"
    return config.lock()
