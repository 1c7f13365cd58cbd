"""The fields of Latents2Segments, and its presets.

The default is `l2s`: the published method without the published defects and with this project's additions
(docs/methods/latents2segments.md, "Defects of the published code").
`published` has the sizes, weights and schedule of the authors' code, `paper` the loss weights of their equation 1.
"""

from ml_collections import ConfigDict

from input_pipeline.images.augment import OFF
from input_pipeline.images.resize_rules import STRETCH
from l2s_jax import optim
from l2s_jax.schema import MOST, OneOf, Range, within
from l2s_jax.systems import consensus_term

PUBLISHED_SLICES = (2, 2, 2, 1, 1)
"""Channels of hair, skin, nose, eyes, lips in the authors' structure code."""
HELEN_SLICES = (4, 4)
"""Channels of hair and skin in the authors' Helen model; Helen has too few faces for more regions (section 3.2)."""

RANGES = {
    "model": Range(1, 16384),
    "model.architecture": OneOf(("sliced", "published")),
    "model.code_noise": Range(0.0, 100.0),
    "model.painter_tolerance": Range(0, 254),
    "model.pyramid.widths": Range(8, 16384),
    "model.pyramid.depths": Range(1, 64),
    "model.decoder.width": Range(8, 16384),
    "model.decoder.blocks": Range(1, 64),
    "model.residual.downsamplings": Range(1, 10),
    "model.residual.style_downsamplings": Range(0, 10),
    "model.discriminator.judges": OneOf(("image", "regions")),
    "model.discriminator.channel_base": Range(1, MOST),
    "model.patch.channel_base": Range(1, MOST),
    "model.patch.crops": Range(1, 256),
    "model.patch.crop_size": Range(8, 4096),
    "loss": Range(0.0, 1e6),
    **within("loss.consensus", consensus_term.RANGES),
    "schedule": Range(1, MOST),
    "schedule.discriminator_every": Range(0, MOST),
    **within("optim.encoder", optim.RANGES),
    **within("optim.generator", optim.RANGES),
    **within("optim.discriminator", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return the `l2s` preset, sized for two CPU cores at 64 to 128 px."""
    config = ConfigDict()
    config.label_set = "l2s_regions"
    config.model = _model()
    config.loss = _loss()
    config.schedule = ConfigDict()
    config.schedule.discriminator_every = 0  # every n-th batch trains the discriminators; 2 alternates, 0 = no GAN
    config.schedule.r1_every = 16  # every n-th discriminator batch adds the R1 update, weighted by n
    config.optim = ConfigDict()
    config.optim.encoder = optim.default_config()
    config.optim.encoder.name = "adamw"
    config.optim.encoder.learning_rate = 2e-3
    config.optim.encoder.weight_decay = 1e-2
    config.optim.encoder.warmup_steps = 50
    config.optim.encoder.clip_norm = 1.0
    config.optim.generator = optim.default_config()
    config.optim.generator.update(config.optim.encoder.to_dict())
    config.optim.discriminator = optim.default_config()  # both discriminators; corrected for lazy R1 when it is built
    config.optim.discriminator.learning_rate = 2e-3
    config.optim.discriminator.b1 = 0.0
    config.optim.discriminator.b2 = 0.99
    config.optim.ema = 0.998  # decay of the exported weights; 0 = export the raw weights
    return config


def _model() -> ConfigDict:
    model = ConfigDict()
    model.init_from = ""  # initial weights (initial.py): a published checkpoint or a model; "" = random
    model.background = True  # the background has its own slice; False: only the regions do (published)
    model.architecture = "sliced"  # sliced (ours: mattes from decodes, code at H/4) | published (at H/2**downsamplings)
    model.slices = (6, 6, 6, 6, 6, 6)  # channels of each slice, in label order; sliced: coverage first, all equal
    model.style = 32  # S, length of the style code: one for each region (sliced) or one in all (published)
    model.code_noise = 0.05  # std of noise added to the structure code in training; the rms of the code is 1
    model.painter_tolerance = 0  # 8-bit levels above 0 that the painter rule also counts as black; 0 = published

    model.pyramid = ConfigDict()  # encoder of architecture=sliced
    model.pyramid.widths = (32, 64, 128, 192)  # channels at H/2, H/4, ...
    model.pyramid.depths = (1, 2, 2, 2)  # residual blocks per scale
    model.pyramid.light_width = 32  # channels of the light head

    model.decoder = ConfigDict()  # generator of architecture=sliced
    model.decoder.width = 32  # channels
    model.decoder.blocks = 2  # residual blocks

    model.residual = ConfigDict()  # encoder of architecture=published
    model.residual.base_width = 32  # channels at full size, doubling with every halving
    model.residual.max_width = 2048  # largest number of channels
    model.residual.downsamplings = 4  # halvings before the structure code
    model.residual.style_downsamplings = 2  # further unpadded halvings before the style code

    model.generator = ConfigDict()  # generator of architecture=published
    model.generator.head_widths = (32,)  # channels of the blocks at the structure code's resolution
    model.generator.widths = (24, 24, 16, 16)  # channels of the upsampling blocks; code size * 2**len = image size
    model.generator.renormalize = False  # True: normalise the codes a second time (published defect)
    model.generator.noise = False  # fresh pixel noise in training

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
    return model


def _loss() -> ConfigDict:
    loss = ConfigDict()  # weights of the terms, each a mean; 0 = off
    loss.cross_entropy = 1.0  # of the decoded mattes
    loss.dice = 1.0  # soft Dice of the decoded mattes
    loss.consensus = consensus_term.default_config()  # of the decoded masks
    loss.light = 1.0  # cross entropy + soft Dice of the light head
    loss.image = 2.0  # L1 of the image composed of all regions
    loss.region = 0.0  # L1 of each region on black, mean over all pixels (published)
    loss.region_inside = 1.0  # L1 of each region's colours inside its own mask, divided by its area (ours)
    loss.region_flat = 1.0  # L1 of each region's colours outside its mask to the region's mean colour (ours)
    loss.first_half = False  # reconstruct only one image of each pair (published)
    loss.gan_reconstruction = 0.0  # generator loss of reconstructed views: faces, or regions (discriminator.judges)
    loss.gan_mix = 0.0  # generator loss of mixed views: structure of two faces in the style of one
    loss.patch = 0.0  # generator loss of the patch discriminator on mixed regions
    loss.independence = 0.0  # cross-covariance between slices
    loss.d_reconstruction = 0.5  # discriminator loss of reconstructed views
    loss.d_mix = 0.5  # discriminator loss of mixed views
    loss.r1 = 10.0  # gamma of the image discriminator's R1 penalty
    loss.patch_r1 = 1.0  # gamma of the patch discriminator's R1 penalty, halved once more as published
    return loss


def add_gan(config: ConfigDict) -> ConfigDict:
    """Turn on the adversarial terms of composed faces and the published alternation; edit and return `config`."""
    config.schedule.discriminator_every = 2
    config.loss.gan_reconstruction = 0.05
    config.loss.gan_mix = 0.05
    return config


def published(config: ConfigDict) -> ConfigDict:
    """Set the authors' sizes, loss weights, schedule and Adam; edit and return `config`.

    Defects that are kept (docs/methods/latents2segments.md, "Defects of the published code"), because they are part of
    the published method: the second normalisation and one-channel slices, the full-code decode that training never
    sees, discriminators that are not conditioned on the region, the painter's threshold, no running average. Fixed: R1
    mix-up, flips, batch size, unused decode.
    """
    config.model.background = False
    config.model.code_noise = 0.0
    config.model.slices = PUBLISHED_SLICES
    config.model.style = 2048
    config.model.architecture = "published"
    config.model.generator.head_widths = (256, 512)
    config.model.generator.widths = (512, 512, 256, 128)
    config.model.generator.renormalize = True
    config.model.generator.noise = True
    config.model.discriminator.judges = "regions"
    config.model.discriminator.channel_base = 32768
    config.model.discriminator.max_width = 512
    config.model.discriminator.conditional = False
    config.model.patch.channel_base = 4096
    config.model.patch.max_width = 384
    config.model.patch.head_widths = (2048, 2048, 1024)
    config.model.patch.crops = 8
    config.model.patch.crop_size = 128
    config.model.patch.around_region = False
    for own in ("cross_entropy", "dice", "light", "image", "region_inside", "region_flat", "independence"):
        config.loss[own] = 0.0
    config.loss.consensus.weight = 0.0
    config.loss.region = 1.0
    config.loss.first_half = True
    for network in ("encoder", "generator", "discriminator"):
        group = optim.default_config()
        group.learning_rate, group.b1, group.b2 = 2e-3, 0.0, 0.99
        config.optim[network] = group
    config.optim.ema = 0.0
    # The authors only resize and mirror the images.
    config.data.resize = STRETCH.name
    config.data.augment.update(OFF | {"flip": config.data.augment.flip})
    config.schedule.discriminator_every = 2
    config.loss.gan_reconstruction = 0.5
    config.loss.gan_mix = config.loss.patch = 1.0
    return config


def helen(config: ConfigDict) -> ConfigDict:
    """Set regions and slices of the authors' Helen model, for `published` and `paper`; edit and return `config`.

    There is no slice for the background, and skin covers the entire face: facial features have no slices of their own.
    """
    config.label_set = "hair_skin"
    config.model.slices = HELEN_SLICES
    return config


def paper(config: ConfigDict) -> ConfigDict:
    """Set `published` with the loss weights of equation 1, which differ from the code's; edit and return `config`."""
    config = published(config)
    config.loss.gan_mix = 0.5
    config.loss.patch = 0.5
    return config
