"""The fields of StyleGAN2, and the recipe that NVIDIA publishes for 256 px."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.models.stylegan2 import config as networks
from l2s_jax.schema import MOST, Range, within

RANGES = {
    **within("model", networks.RANGES),
    "loss": Range(0.0, 1e6),
    "loss.path_length_decay": Range(0.0, 1.0),
    "latents.mixing": Range(0.0, 1.0),
    "latents.mean_decay": Range(0.0, 1.0),
    "schedule": Range(1, MOST),
    "schedule.path_length_shrink": Range(1, 64),
    **within("optim.generator", optim.RANGES),
    **within("optim.discriminator", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return the fields, sized for two CPU cores at 64 px; rates, penalties and intervals are NVIDIA's."""
    config = ConfigDict()
    config.label_set = "celebamask"  # of the data's masks, which are not used
    config.model = networks.default_config()
    config.model.init_from = ""  # initial generator: a model of this system or published weights; "" = random

    config.loss = ConfigDict()
    config.loss.r1 = 0.05  # gamma of the R1 penalty; NVIDIA's rule: 0.0002 * image_size ** 2 / batch size
    config.loss.path_length = 2.0  # weight of the path length penalty; 0 = none
    config.loss.path_length_decay = 0.01  # share of a batch's mean length in the running mean

    config.latents = ConfigDict()
    config.latents.mixing = 0.9  # share of images whose fine layers have a second code in training
    config.latents.mean_decay = 0.995  # decay of the running mean of codes, for truncation

    config.schedule = ConfigDict()
    config.schedule.r1_every = 16  # every n-th batch adds the R1 update, weighted by n
    config.schedule.path_length_every = 4  # every n-th batch adds the path length update, weighted by n
    config.schedule.path_length_shrink = 2  # it uses one row of this many

    config.optim = ConfigDict()
    config.optim.generator = _optimiser()  # corrected for lazy path length regularisation when it is built
    config.optim.discriminator = _optimiser()  # corrected for lazy R1 when it is built
    config.optim.ema = 0.998  # decay of the exported weights; 0 = export the raw weights
    return config


def _optimiser() -> ConfigDict:
    group = optim.default_config()
    group.learning_rate, group.b1, group.b2 = 2.5e-3, 0.0, 0.99
    return group


def published(config: ConfigDict) -> ConfigDict:
    """Set NVIDIA's `paper256`: sizes, batch, gamma and running average at 256 px; edit and return `config`."""
    config.image_size = 256
    config.data.batch_size = 64
    model = config.model
    model.code, model.mapping_layers = 512, 8
    for sizes in (model, model.discriminator):
        sizes.channel_base, sizes.max_width = 16384, 512
    config.loss.r1 = 1.0
    config.optim.ema = 0.5 ** (64 / 20_000)  # half of an average is from the last 20,000 images
    return config
