"""The fields of Latents2Segments, and its presets.

The default is `l2s`: the published method without the published defects and with this project's additions
(docs/methods/latents2segments.md, "Defects of the published code").
`published` has the sizes, weights and schedule of the authors' code, `paper` the loss weights of their equation 1.
"""

from ml_collections import ConfigDict

from input_pipeline.images.augment import OFF
from input_pipeline.images.resize_rules import STRETCH
from l2s_jax import optim
from l2s_jax.schema import OneOf, Range
from l2s_jax.systems.sliced import fields

PUBLISHED_SLICES = (2, 2, 2, 1, 1)
"""Channels of hair, skin, nose, eyes, lips in the authors' structure code."""
HELEN_SLICES = (4, 4)
"""Channels of hair and skin in the authors' Helen model; Helen has too few faces for more regions (section 3.2)."""

RANGES = fields.RANGES | {
    "model.architecture": OneOf(("sliced", "published")),
    "model.painter_tolerance": Range(0, 254),
    "model.residual.downsamplings": Range(1, 10),
    "model.residual.style_downsamplings": Range(0, 10),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return the `l2s` preset, sized for two CPU cores at 64 to 128 px."""
    config = ConfigDict()
    config.label_set = "l2s_regions"
    config.model = _model()
    config.loss = fields.loss()
    config.independence = fields.independence()
    config.schedule = fields.schedule()
    config.optim = fields.optimisers()
    return config


def _model() -> ConfigDict:
    model = ConfigDict()
    model.init_from = ""  # initial weights (initial.py): a published checkpoint or a model; "" = random
    model.background = True  # the background has its own slice; False: only the regions do (published)
    model.architecture = "sliced"  # sliced (ours: mattes from decodes, code at H/4) | published (at H/2**downsamplings)
    model.slices = (6, 6, 6, 6, 6, 6)  # channels of each slice, in label order; sliced: coverage first
    model.painter_tolerance = 0  # 8-bit levels above 0 that the painter rule also counts as black; 0 = published
    fields.add_networks(model)

    model.residual = ConfigDict()  # encoder of architecture=published
    model.residual.base_width = 32  # channels at full size, doubling with every halving
    model.residual.max_width = 2048  # largest number of channels
    model.residual.downsamplings = 4  # halvings before the structure code
    model.residual.style_downsamplings = 2  # further unpadded halvings before the style code (one style in all)

    model.generator = ConfigDict()  # generator of architecture=published
    model.generator.head_widths = (32,)  # channels of the blocks at the structure code's resolution
    model.generator.widths = (24, 24, 16, 16)  # channels of the upsampling blocks; code size * 2**len = image size
    model.generator.renormalize = False  # True: normalise the codes a second time (published defect)
    model.generator.noise = False  # fresh pixel noise in training
    return model


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
    for own in ("cross_entropy", "dice", "light", "image", "ms_ssim", "region_inside", "region_flat", "independence"):
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
