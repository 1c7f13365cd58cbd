"""The fields of Latents2Segments, and its presets.

The default is `l2s`: the published idea without the published defects, with what the project adds
(docs/methods/latents2segments.md, "Defects of the published code").
`published` has the sizes, weights and schedule of the authors' code, `paper` the loss weights of their equation 1.
"""

from ml_collections import ConfigDict

from input_pipeline.images.resize_rules import STRETCH
from l2s_jax import optim
from l2s_jax.schema import MOST, Range, within
from l2s_jax.systems import consensus_term

PUBLISHED_SLICES = (2, 2, 2, 1, 1)
"""Channels of hair, skin, nose, eyes, lips in the authors' structure code."""
HELEN_SLICES = (4, 4)
"""Channels of hair and skin where they trained on Helen, which has too few faces for more (section 3.2)."""

RANGES = {
    "model": Range(1, 16384),
    "model.code_noise": Range(0.0, 100.0),
    "model.painter_tolerance": Range(0, 255),
    "model.pyramid.widths": Range(8, 16384),
    "model.pyramid.depths": Range(1, 64),
    "model.residual.downsamplings": Range(1, 10),
    "model.residual.style_downsamplings": Range(0, 10),
    "model.presence.width": Range(0, 16384),
    "model.discriminator.channel_base": Range(1, MOST),
    "model.patch.channel_base": Range(1, MOST),
    "model.patch.crops": Range(1, 256),
    "model.patch.crop_size": Range(8, 4096),
    "loss": Range(0.0, 1e6),
    **within("loss.consensus", consensus_term.RANGES),
    "schedule": Range(0, MOST),
    **within("optim.encoder", optim.RANGES),
    **within("optim.generator", optim.RANGES),
    **within("optim.discriminator", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Of the numbers of `default_config()`."""


def default_config() -> ConfigDict:
    """The `l2s` preset, sized for two CPU cores at 64 to 128 px."""
    config = ConfigDict()
    config.label_set = "l2s_regions"
    config.model = _model()
    config.loss = _loss()
    config.schedule = ConfigDict()
    config.schedule.autoencode_every = 1  # every n-th encoder batch also decodes colours; the others only parse
    config.schedule.discriminator_every = 0  # every n-th batch goes to the discriminators; 2 alternates, 0 = no GAN
    config.schedule.r1_every = 16  # every n-th discriminator batch adds the R1 update, weighted by n
    config.optim = ConfigDict()
    config.optim.encoder = optim.default_config()  # encoder and presence head
    config.optim.encoder.name = "adamw"
    config.optim.encoder.learning_rate = 2e-3
    config.optim.encoder.weight_decay = 1e-2
    config.optim.encoder.warmup_steps = 50
    config.optim.encoder.clip_norm = 1.0
    config.optim.generator = optim.default_config()
    config.optim.generator.learning_rate = 4e-3  # equalised layers: the rate is relative to unit weights
    config.optim.generator.b1 = 0.0
    config.optim.generator.b2 = 0.99
    config.optim.discriminator = optim.default_config()  # both; corrected for lazy R1 where it is built
    config.optim.discriminator.learning_rate = 2e-3
    config.optim.discriminator.b1 = 0.0
    config.optim.discriminator.b2 = 0.99
    config.optim.ema = 0.998  # decay of the exported weights; 0 = export the raw weights
    return config


def _model() -> ConfigDict:
    model = ConfigDict()
    model.init_from = ""  # where the first weights come from (initial.py): the authors' start, or a model; "" = random
    model.background = True  # the background has a slice of its own; False: only the regions (published)
    model.slices = (4, 4, 4, 4, 4, 4)  # channels per slice, in label order, at least 2 each unless `renormalize`d
    model.style = 128  # S, size of the style code
    model.code_noise = 0.0  # std of noise on the structure code while the encoder trains; the code's own rms is 1
    model.encoder = "pyramid"  # pyramid (ours, code at H/4) | residual (published, code at H/2**downsamplings)

    model.pyramid = ConfigDict()
    model.pyramid.widths = (32, 64, 128, 192)  # channels at H/2, H/4, ...
    model.pyramid.depths = (1, 2, 2, 2)  # residual blocks per scale

    model.residual = ConfigDict()
    model.residual.base_width = 32  # channels at full size, doubling with every halving
    model.residual.max_width = 2048
    model.residual.downsamplings = 4
    model.residual.style_downsamplings = 2  # unpadded halvings of the style branch

    model.generator = ConfigDict()
    model.generator.head_widths = (32,)  # blocks at the code's size
    model.generator.widths = (24, 16)  # doubling blocks; code size * 2**len = image size
    model.generator.renormalize = False  # True: the published second normalisation (a defect)
    model.generator.noise = False  # fresh pixel noise in training

    model.presence = ConfigDict()
    model.presence.width = 32  # of the light head; 0 = none, segmentation by the published painter rule
    model.painter_tolerance = 0  # of that rule: the darkest levels of 255, above 0, that are black too; 0 = published

    model.discriminator = ConfigDict()
    model.discriminator.channel_base = 2048  # channels at R px: min(max_width, channel_base / R)
    model.discriminator.max_width = 128
    model.discriminator.conditional = True  # both discriminators know the region (ours)

    model.patch = ConfigDict()
    model.patch.channel_base = 1024
    model.patch.max_width = 64
    model.patch.head_widths = (128, 64)
    model.patch.crops = 4  # per region image
    model.patch.crop_size = 32  # pixels a side, a power of two
    model.patch.around_region = True  # crops around the region (ours); False: anywhere (published)
    return model


def _loss() -> ConfigDict:
    loss = ConfigDict()  # weights of terms that are means; 0 = without the term
    loss.cross_entropy = 1.0
    loss.dice = 1.0
    loss.consensus = consensus_term.default_config()  # of the light head's masks
    loss.image = 1.0  # L1 of the full reconstruction
    loss.region = 0.0  # L1 of each region on black, mean over the whole frame (published)
    loss.region_inside = 1.0  # L1 of each region inside its own mask, per area (ours)
    loss.first_half = False  # reconstruct only one image of each pair (published)
    loss.gan_reconstruction = 0.0
    loss.gan_mix = 0.0
    loss.patch = 0.0
    loss.independence = 0.0  # cross-covariance between slices
    loss.d_reconstruction = 0.5  # discriminator's weight of reconstructed fakes
    loss.d_mix = 0.5  # ... and of mixed fakes
    loss.r1 = 10.0  # gamma of the image discriminator
    loss.patch_r1 = 1.0  # gamma of the patch discriminator, which the published code halves once more
    return loss


def add_gan(config: ConfigDict) -> ConfigDict:
    """Turns on the adversarial terms with the published weights and alternation; edits and returns `config`."""
    config.schedule.discriminator_every = 2
    config.loss.gan_reconstruction = 0.5
    config.loss.gan_mix = 1.0
    config.loss.patch = 1.0
    return config


def published(config: ConfigDict) -> ConfigDict:
    """The authors' code: sizes, loss weights, schedule and Adam; edits and returns `config`.

    Kept of its defects (docs/methods/latents2segments.md, "Defects of the published code"), because the published
    method is made of them: the second normalisation and one-channel slices, the full-code decode that training never
    sees, discriminators that do not know the region, the painter's threshold, no running average. Mended: R1 mix-up,
    flips, batch size, unused decode.
    """
    config.model.background = False
    config.model.code_noise = 0.0
    config.model.slices = PUBLISHED_SLICES
    config.model.style = 2048
    config.model.encoder = "residual"
    config.model.generator.head_widths = (256, 512)
    config.model.generator.widths = (512, 512, 256, 128)
    config.model.generator.renormalize = True
    config.model.generator.noise = True
    config.model.presence.width = 0
    config.model.discriminator.channel_base = 32768
    config.model.discriminator.max_width = 512
    config.model.discriminator.conditional = False
    config.model.patch.channel_base = 4096
    config.model.patch.max_width = 384
    config.model.patch.head_widths = (2048, 2048, 1024)
    config.model.patch.crops = 8
    config.model.patch.crop_size = 128
    config.model.patch.around_region = False
    config.loss.cross_entropy = config.loss.dice = config.loss.consensus.weight = 0.0
    config.loss.image = config.loss.region_inside = config.loss.independence = 0.0
    config.loss.region = 1.0
    config.loss.first_half = True
    for network in ("encoder", "generator", "discriminator"):
        group = optim.default_config()
        group.learning_rate, group.b1, group.b2 = 2e-3, 0.0, 0.99
        config.optim[network] = group
    config.optim.ema = 0.0
    # They resize and mirror, nothing else.
    config.data.resize = STRETCH.name
    augment = config.data.augment
    augment.scale_min = augment.scale_max = 1.0
    augment.rotate = augment.shift = 0.0
    augment.brightness = augment.contrast = augment.saturation = augment.tint = augment.grey = 0.0
    augment.blur = augment.jpeg = augment.noise = 0.0
    return add_gan(config)


def helen(config: ConfigDict) -> ConfigDict:
    """The two regions and slices of the authors' Helen model, for `published` and `paper`; edits and returns `config`.

    No slice knows the background, and the skin is the whole face: features have no slice of their own.
    """
    config.label_set = "hair_skin"
    config.model.slices = HELEN_SLICES
    return config


def paper(config: ConfigDict) -> ConfigDict:
    """`published` with the weights of equation 1, which differ from the code's; edits and returns `config`."""
    config = published(config)
    config.loss.gan_mix = 0.5
    config.loss.patch = 0.5
    return config
