"""The fields of a landmark regressor, and the published network."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.losses import landmarks
from l2s_jax.models import recognition
from l2s_jax.schema import OneOf, Range, within

RANGES = {
    **within("model", recognition.LANDMARK_RANGES),
    "loss.kind": OneOf(landmarks.KINDS),
    "loss.width": Range(1e-6, 1e3),
    "loss.curvature": Range(1e-6, 1e3),
    **within("optim.network", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe, sized for two CPU cores; `published` sets the published network."""
    config = ConfigDict()
    config.label_set = "celebamask"  # of the data's masks, which are not used
    config.model = recognition.landmark_config()
    config.model.init_from = ""  # initial weights: a model of this system; "" = random
    config.loss = ConfigDict()  # of coordinates in fractions of the side
    config.loss.kind = "wing"  # wing | mean_square
    config.loss.width = 10 / 256  # of the wing loss: errors up to this are small
    config.loss.curvature = 2 / 256  # of the wing loss
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.update(learning_rate=2e-3, warmup_steps=50, decay="cosine", clip_norm=1.0)
    config.optim.ema = 0.995  # decay of the running average that is exported; 0 = export the raw weights
    return config


def published(config: ConfigDict) -> ConfigDict:
    """Set the sizes of the published MobileFaceNet; edit and return `config`. Its recipe is not published."""
    config.image_size = 112
    config.model.network, config.model.points, config.model.width = "mobilefacenet", 68, 64
    return config
