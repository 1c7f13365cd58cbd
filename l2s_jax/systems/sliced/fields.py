"""The config fields of the generative half: losses, adversaries, optimisers, and the sliced networks."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.schema import MOST, OneOf, Range, within
from l2s_jax.systems import consensus_term

CHANNELS = Range(2, 16384)
"""Of a slice: its coverage and its content."""

RANGES = {
    "model": Range(1, 16384),
    "model.code_noise": Range(0.0, 100.0),
    "model.pyramid.widths": Range(8, 16384),
    "model.pyramid.depths": Range(1, 64),
    "model.decoder.width": Range(8, 16384),
    "model.decoder.blocks": Range(1, 64),
    "model.discriminator.judges": OneOf(("image", "regions")),
    "model.discriminator.channel_base": Range(1, MOST),
    "model.patch.channel_base": Range(1, MOST),
    "model.patch.crops": Range(1, 256),
    "model.patch.crop_size": Range(8, 4096),
    "loss": Range(0.0, 1e6),
    "independence.measure": OneOf(("covariance", "hsic")),
    "independence.queue": Range(0, 65536),
    "independence.ramp": Range(0, MOST),
    **within("loss.consensus", consensus_term.RANGES),
    "schedule": Range(1, MOST),
    "schedule.discriminator_every": Range(0, MOST),
    **within("optim.encoder", optim.RANGES),
    **within("optim.generator", optim.RANGES),
    **within("optim.discriminator", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of this file."""


def add_networks(model: ConfigDict) -> None:
    """Add the fields of encoder, generator and discriminators to `model`."""
    model.style = 32  # S, length of the style code: one for each region
    model.code_noise = 0.05  # std of noise added to the structure code in training; the rms of the code is 1

    model.pyramid = ConfigDict()  # encoder
    model.pyramid.widths = (32, 64, 128, 192)  # channels at H/2, H/4, ...
    model.pyramid.depths = (1, 2, 2, 2)  # residual blocks per scale
    model.pyramid.light_width = 32  # channels of the light head

    model.decoder = ConfigDict()  # generator
    model.decoder.width = 32  # channels
    model.decoder.blocks = 2  # residual blocks

    model.discriminator = ConfigDict()
    model.discriminator.judges = "image"  # composed faces, with and without swapped slices (ours) | regions, on black
    model.discriminator.channel_base = 2048  # channels at R px: min(max_width, channel_base / R)
    model.discriminator.max_width = 128  # largest number of channels
    model.discriminator.conditional = True  # discriminators of regions know which they judge (ours)

    model.patch = ConfigDict()
    model.patch.channel_base = 1024  # as for the discriminator
    model.patch.max_width = 64  # largest number of channels
    model.patch.head_widths = (128, 64)  # widths of the dense layers on pairs of crop features
    model.patch.crops = 4  # number of crops per region image
    model.patch.crop_size = 32  # side of a crop in pixels, a power of two
    model.patch.around_region = True  # crop around the region (ours); False: anywhere (published)


def loss() -> ConfigDict:
    """Return the default weights of the terms."""
    loss = ConfigDict()  # weights of the terms, each a mean; 0 = off
    loss.cross_entropy = 1.0  # of the decoded mattes
    loss.dice = 1.0  # soft Dice of the decoded mattes
    loss.consensus = consensus_term.default_config()  # of the decoded masks
    loss.light = 1.0  # cross entropy + soft Dice of the light head
    loss.image = 2.0  # L1 of the image composed of all regions
    loss.ms_ssim = 0.0  # 1 - MS-SSIM of the same image
    loss.region = 0.0  # L1 of each region on black, mean over all pixels (published)
    loss.region_inside = 1.0  # L1 of each region's colours inside its own mask, divided by its area (ours)
    loss.region_flat = 1.0  # L1 of each region's colours outside its mask to the region's mean colour (ours)
    loss.first_half = False  # reconstruct only one image of each pair (published)
    loss.gan_reconstruction = 0.0  # generator loss of reconstructed views: faces, or regions (discriminator.judges)
    loss.gan_mix = 0.0  # generator loss of mixed views: structure of two faces in the style of one
    loss.patch = 0.0  # generator loss of the patch discriminator on mixed regions
    loss.independence = 0.0  # dependence between slices, as the group `independence` measures it
    loss.d_reconstruction = 0.5  # discriminator loss of reconstructed views
    loss.d_mix = 0.5  # discriminator loss of mixed views
    loss.r1 = 10.0  # gamma of the image discriminator's R1 penalty
    loss.patch_r1 = 1.0  # gamma of the patch discriminator's R1 penalty, halved once more as published
    return loss


def independence() -> ConfigDict:
    """Return how the dependence between slices is measured in training."""
    group = ConfigDict()
    group.measure = "hsic"  # hsic, normalised | covariance, linear alone: losses/independence.py
    group.queue = 256  # faces of earlier batches whose codes count too: a small batch alone is mostly noise
    group.ramp = 100  # batches over which the weight rises from 0
    return group


def schedule() -> ConfigDict:
    """Return the default schedule, without adversaries."""
    schedule = ConfigDict()
    schedule.discriminator_every = 0  # every n-th batch trains the discriminators; 2 alternates, 0 = no GAN
    schedule.r1_every = 16  # every n-th discriminator batch adds the R1 update, weighted by n
    return schedule


def optimisers() -> ConfigDict:
    """Return the default optimisers."""
    group = ConfigDict()
    group.encoder = optim.default_config()
    group.encoder.name = "adamw"
    group.encoder.learning_rate = 2e-3
    group.encoder.weight_decay = 1e-2
    group.encoder.warmup_steps = 50
    group.encoder.clip_norm = 1.0
    group.generator = optim.default_config()
    group.generator.update(group.encoder.to_dict())
    group.discriminator = optim.default_config()  # both discriminators; corrected for lazy R1 when it is built
    group.discriminator.learning_rate = 2e-3
    group.discriminator.b1 = 0.0
    group.discriminator.b2 = 0.99
    group.ema = 0.998  # decay of the exported weights; 0 = export the raw weights
    return group


def add_gan(config: ConfigDict) -> ConfigDict:
    """Turn on the adversarial terms of composed faces and the published alternation; edit and return `config`."""
    config.schedule.discriminator_every = 2
    config.loss.gan_reconstruction = 0.05
    config.loss.gan_mix = 0.05
    return config
