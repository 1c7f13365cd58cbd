"""The fields of an identity encoder, and the published recipe."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.losses import margin
from l2s_jax.models import recognition
from l2s_jax.schema import OneOf, Range, within

RANGES = {
    **within("model", recognition.IDENTITY_RANGES),
    "model.people": Range(2, 100_000_000),
    "loss.scale": Range(1.0, 1e4),
    "loss.margin": Range(0.0, 1.5),
    "loss.guard": OneOf(margin.GUARDS),
    **within("optim.network", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe, sized for two CPU cores; `published` sets the authors' network and loss."""
    config = ConfigDict()
    config.label_set = "celebamask"  # of the data's masks, which are not used
    config.model = recognition.identity_config()
    config.model.people = 2000  # number of people in the training data: their `identity` is below it
    config.model.init_from = ""  # initial weights: a model of this system; "" = random
    config.loss = ConfigDict()
    config.loss.scale = 32.0  # factor of all cosines (published: 64)
    config.loss.margin = 0.3  # angle between a face and its person that is added in training, radians (published: 0.5)
    config.loss.guard = "linear"  # beyond an angle of pi: linear | none, see losses/margin.py
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.update(learning_rate=2e-3, warmup_steps=50, decay="cosine", clip_norm=1.0)
    config.optim.ema = 0.995  # decay of the running average that is exported; 0 = export the raw weights
    return config


def published(config: ConfigDict, network: str) -> ConfigDict:
    """Set the published sizes and loss of a network at 112 px; edit and return `config`.

    The authors' optimiser is SGD with momentum for millions of photos; ours stays.
    """
    config.image_size = 112
    config.model.network, config.model.outputs, config.model.width = network, 512, 64
    config.loss.scale, config.loss.margin = 64.0, 0.5
    config.loss.guard = "linear" if network == "ir_se50" else "none"
    return config
