"""The fields of a face detector."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.schema import Range, within

RANGES = {
    "model.stem": Range(1, 1024),
    "model.depths": Range(0, 64),
    "model.widths": Range(1, 4096),
    "model.join": Range(1, 4096),
    "loss.heat": Range(0.0, 1e3),
    "loss.side": Range(0.0, 1e3),
    "loss.points": Range(0.0, 1e3),
    **within("optim.network", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe, sized for two CPU cores."""
    config = ConfigDict()
    config.label_set = "celebamask"  # of the masks that the points of the faces are taken from
    config.model = ConfigDict()
    config.model.stem = 16  # channels at half the size
    config.model.depths = (1, 2, 2, 1)  # residual blocks at strides 4, 8, 16 and 32
    config.model.widths = (24, 40, 56, 48)  # channels there
    config.model.join = 32  # channels where the levels are joined, at strides 16 and 8
    config.loss = ConfigDict()  # factors of the terms
    config.loss.heat = 1.0  # focal loss of the heat map
    config.loss.side = 1.0  # mean absolute error of the side's logarithm
    config.loss.points = 4.0  # mean absolute error of the centre and the landmarks, in sides
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.learning_rate = 3e-3
    config.optim.network.warmup_steps = 50
    config.optim.network.decay = "cosine"
    config.optim.network.clip_norm = 1.0
    config.optim.ema = 0.99  # decay of the running average that is exported; 0 = export the raw weights
    return config
