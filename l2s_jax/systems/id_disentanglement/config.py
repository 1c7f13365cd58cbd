"""The fields of Face Identity Disentanglement: our recipe on drawn faces, and the published preset."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.losses.identity import KINDS, MASKS
from l2s_jax.models import recognition
from l2s_jax.models.stylegan2 import config as stylegan2
from l2s_jax.schema import MOST, OneOf, Range, within

WIDTHS = Range(1, 65536)
RANGES = {
    "generator.kind": OneOf(("oracle", "stylegan2")),
    "generator.width": Range(22, 65536),
    "generator.truncation": Range(0.0, 1.0),
    **within("generator.stylegan2", stylegan2.RANGES),
    "encoders.steps": Range(0, MOST),
    "encoders.people": Range(2, 10_000_000),
    "encoders.margin": Range(0.0, 1.0),
    "encoders.scale": Range(1.0, 256.0),
    "encoders.evaluator_every": Range(1, MOST),
    "model": WIDTHS,
    **within("model.identity", recognition.IDENTITY_RANGES),
    **within("model.evaluator", recognition.IDENTITY_RANGES),
    **within("model.landmarks", recognition.LANDMARK_RANGES),
    "model.attributes.width": Range(8, 16384),
    "model.mapper.last_scale": Range(0.0, 1.0),
    "views": Range(0, 4096),
    **{f"views.{name}.crop": Range(0.1, 1.0) for name in ("identity", "landmarks", "attributes")},
    "loss": Range(0.0, 1e6),
    "loss.identity_kind": OneOf(KINDS),
    "loss.pixels": OneOf(MASKS),
    "loss.alpha": Range(0.0, 1.0),
    "schedule": Range(0, MOST),
    "schedule.cross_every": Range(1, MOST),
    "optim.ema": Range(0.0, 1.0),
    **{
        name: allowed
        for group in ("encoders", "mapper", "adversarial", "discriminator")
        for name, allowed in within(f"optim.{group}", optim.RANGES).items()
    },
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe for drawn faces of 64 px on two CPU cores."""
    config = ConfigDict()
    config.label_set = "celebamask"  # unused: this system does not segment
    config.image_size = 64
    config.generator = ConfigDict()
    config.generator.kind = "oracle"  # oracle: drawn faces whose factors can be read off any code | stylegan2
    config.generator.width = 32  # length of a code of the oracle
    config.generator.model = ""  # for stylegan2: a trained model of that system
    config.generator.truncation = 1.0  # of all layers of stylegan2 alike; 1 = none
    config.generator.stylegan2 = stylegan2.default_config()  # its sizes: the fields `model` of that system
    config.encoders = ConfigDict()
    config.encoders.steps = (
        800  # batches at the beginning that train E_id, E_lnd and a second identity network; 0 = load
    )
    config.encoders.identity = ""  # without such batches, E_id: a trained model of identity_encoder
    config.encoders.evaluator = ""  # the second identity network, for evaluation alone: another one; "" = none
    config.encoders.landmarks = ""  # E_lnd: a trained model of landmark_regressor
    config.encoders.people = 65536  # people that the identity networks are trained on
    config.encoders.margin = 0.1  # margin of the cosine of the right pair
    config.encoders.scale = 24.0  # factor of all cosines
    config.encoders.evaluator_every = 2  # batches from one to the next that trains the second identity network
    config.model = ConfigDict()
    config.model.init_from = ""  # initial M and E_attr: a model of this system, or M alone: a PyTorch state dict
    config.model.identity = recognition.identity_config()  # E_id: the fields `model` of the system identity_encoder
    config.model.evaluator = recognition.identity_config()  # a second identity network, for evaluation only
    config.model.landmarks = recognition.landmark_config()  # E_lnd: the fields `model` of landmark_regressor
    config.model.identity.width = config.model.evaluator.width = config.model.landmarks.width = 16
    config.model.evaluator.outputs = 96
    config.model.attributes = ConfigDict()  # E_attr
    config.model.attributes.outputs = 128  # length of e_attr
    config.model.attributes.width = 16  # channels of the first map
    config.model.attributes.from_landmarks = True  # start from the convolutions of E_lnd (published: from ImageNet's)
    config.model.mapper = ConfigDict()
    config.model.mapper.widths = (256, 128, 64)  # hidden layers of M
    config.model.mapper.last_scale = 0.05  # factor on the initial weights of its last layer (published: 1)
    config.model.mapper.from_mean = True  # add the mean code to its output (published: no)
    config.model.discriminator = ConfigDict()
    config.model.discriminator.widths = (64, 32, 16)  # hidden layers of D_W
    config.model.discriminator.whitened = True  # it sees codes of mean 0 and variance 1 (published: no)
    config.views = ConfigDict()  # what the encoders see of an image
    for name in ("identity", "landmarks", "attributes"):
        config.views[name] = ConfigDict()
        config.views[name].crop = 1.0  # share of the side around the middle (published: 0.8 for E_id)
        config.views[name].size = 0  # it is resized to so many pixels; 0 = it is not
    config.loss = ConfigDict()
    config.loss.identity = 1.0
    config.loss.identity_kind = "cosine"  # l1 (published) | cosine
    config.loss.landmarks = 0.02  # of squared pixels of a picture of 160 px (published: 0.001)
    config.loss.shapes = 0.2  # the same of the shapes of brows, nose, eyes, mouth about their middles (published: none)
    config.loss.jaw = False  # landmarks of the jaw count (published: no)
    config.loss.reconstruction = 1.0  # (published: 0.02)
    config.loss.alpha = 0.84  # share of MS-SSIM in the reconstruction; the rest is L1
    config.loss.pixels = "uniform"  # weights of pixels in L1: uniform | gaussian (published): more at the border
    config.loss.l1_summed = False  # L1 is summed over the batch, not averaged (published: summed)
    config.loss.adversarial = 1.0
    config.loss.r1 = 1.0  # gamma of R1 (published: 10, on codes that are not whitened)
    config.schedule = ConfigDict()
    config.schedule.cross_every = 3  # every n-th batch has two people, the others the same image twice
    config.schedule.adversarial_every = 2  # every n-th batch also trains D_W, and M and E_attr against it; 0 = never
    config.schedule.ridge_faces = 2048  # faces that the baseline of ridge regression is fitted to; 0 = no baseline
    config.optim = ConfigDict()  # `total_steps` and `warmup_steps` are batches of a phase, not updates of an optimiser
    config.optim.encoders = _optimiser(2e-3)
    config.optim.mapper = _optimiser(1e-3)
    config.optim.adversarial = _optimiser(1e-4)  # of M and E_attr against D_W
    config.optim.discriminator = _optimiser(4e-4)
    config.optim.ema = 0.995  # decay of the running average that is exported; 0 = export the raw weights
    return config


def _optimiser(rate: float) -> ConfigDict:
    config = optim.default_config()
    config.learning_rate = rate
    config.decay = "cosine"
    config.warmup_steps = 20
    config.clip_norm = 1.0
    return config


def published(config: ConfigDict) -> ConfigDict:
    """Set the authors' mapper, losses, schedule and rates at 256 px; edit and return `config`.

    Frozen networks are those of the public reimplementation (IR-SE-50, MobileFaceNet, StyleGAN2): the authors' own
    (VGGFace2 ResNet-50, ShuffleNetV2, StyleGAN) have no counterpart here. E_attr is our small encoder with an output of
    the published length, not InceptionV3. See docs/methods/id_disentanglement.md.
    """
    config.image_size = 256
    config.data.batch_size = 6
    config.encoders.steps = 0
    config.generator.kind = "stylegan2"
    sizes = config.generator.stylegan2
    sizes.code, sizes.mapping_layers, sizes.channel_base, sizes.max_width = 512, 8, 16384, 512
    model, loss = config.model, config.loss
    for group in (model.identity, model.evaluator):
        group.network, group.outputs, group.width = "ir_se50", 512, 64
    model.landmarks.network, model.landmarks.width = "mobilefacenet", 64
    model.attributes.update({"outputs": 2048, "width": 32, "from_landmarks": False})
    model.mapper.update({"widths": (2048, 1024, 512), "last_scale": 1.0, "from_mean": False})
    model.discriminator.update({"widths": (256, 128, 64), "whitened": False})
    config.views.identity.update({"crop": 0.8, "size": 112})
    config.views.landmarks.size = 112
    loss.update({"identity": 1.0, "identity_kind": "l1", "landmarks": 0.001, "shapes": 0.0, "jaw": False})
    loss.update(
        {"adversarial": 1.0, "reconstruction": 0.02, "alpha": 0.84, "pixels": "gaussian", "l1_summed": True, "r1": 10.0}
    )
    config.schedule.update({"cross_every": 3, "adversarial_every": 2})
    for name, rate in (("mapper", 5e-5), ("adversarial", 5e-6), ("discriminator", 2e-5)):
        config.optim[name] = optim.default_config()
        config.optim[name].update({"learning_rate": rate, "eps": 1e-7})
    config.optim.ema = 0.0
    return config
