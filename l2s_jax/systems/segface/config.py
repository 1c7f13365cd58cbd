"""The fields of SegFace, and its published preset."""

from ml_collections import ConfigDict

from input_pipeline.images.resize_rules import STRETCH
from l2s_jax import optim
from l2s_jax.schema import Range, within
from l2s_jax.systems import consensus_term

RANGES = {
    "model.stochastic_depth": Range(-1.0, 1.0),
    "model.channels": Range(4, 16384),
    "model.decoder": Range(1, 16384),
    "model.decoder.depth": Range(1, 64),
    "loss": Range(0.0, 1e6),
    "loss.label_smoothing": Range(0.0, 1.0),
    "loss.pixel_shares": Range(0.0, 1e18),
    "loss.rarity": Range(0.0, 16.0),
    **within("loss.consensus", consensus_term.RANGES),
    **within("optim.network", optim.RANGES),
    "optim.stage_decay": Range(0.0, 1.0),
    "optim.ema": Range(0.0, 1.0),
}
"""Of the numbers of `default_config()`."""


def default_config() -> ConfigDict:
    """Our training recipe; `published` is the authors'."""
    config = ConfigDict()
    config.label_set = "farl19"
    config.model = _model()
    config.loss = ConfigDict()  # weights of terms that are means; 0 = without the term
    config.loss.cross_entropy = 0.5
    config.loss.label_smoothing = 0.0  # in the cross entropy, share of the probability spread over all classes
    config.loss.pixel_shares = ()  # of all classes: `classes.NAME.pixel_share` of `l2s data stats --json`
    config.loss.rarity = 0.0  # a class of share s weighs s**-rarity in the cross entropy; 0 = all weigh the same
    config.loss.dice = 0.5
    config.loss.dice_present_only = True  # mean over the classes that the batch shows; False: over all (published)
    config.loss.consensus = consensus_term.default_config()
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.name = "adamw"
    config.optim.network.learning_rate = 1e-3
    config.optim.network.weight_decay = 5e-2
    config.optim.network.warmup_steps = 100
    config.optim.network.decay = "cosine"
    config.optim.network.clip_norm = 1.0
    config.optim.stage_decay = 1.0  # each stage of the backbone learns at this times the rate of the next one
    config.optim.ema = 0.998  # decay of the exported weights and batch statistics; 0 = export the raw ones
    return config


def _model() -> ConfigDict:
    model = ConfigDict()
    model.backbone = "mobilenet"  # see l2s_jax.models.backbones
    model.init_from = ""  # where the backbone's first weights come from (initial.py); "" = random
    model.stochastic_depth = -1.0  # drop rate of the backbone's last block; -1 = as published for it
    model.channels = 256  # of fused features and class tokens
    model.warp = "none"  # none | exact | published: the tanh warp around the landmarks, see layers/tanh_warp.py
    model.mirror = False  # predictions are means over the picture and its mirror image: better, and twice the work
    model.decoder = ConfigDict()
    model.decoder.depth = 2  # two-way blocks
    model.decoder.heads = 8  # of every attention
    model.decoder.mlp = 2048  # hidden width of the tokens' perceptrons
    model.decoder.pixel_channels = 32  # of the pixels' descriptors
    model.decoder.doublings = 2  # from stride 4 to the descriptors: 2 = one for each pixel, 1 = one for 2 x 2 pixels
    return model


def published(config: ConfigDict) -> ConfigDict:
    """The authors' recipe, without augmentation; edits and returns `config`.

    See docs/methods/segface.md, "Preprocessing and augmentation", "Loss" and "Training".
    `published_schedule` adds what depends on the number of faces.
    """
    augment = config.data.augment
    augment.scale_min = augment.scale_max = 1.0
    augment.flip = augment.rotate = augment.shift = 0.0
    augment.brightness = augment.contrast = augment.saturation = augment.tint = augment.grey = 0.0
    augment.blur = augment.jpeg = augment.noise = 0.0
    config.loss.dice_present_only = False
    config.optim.network = optim.default_config()
    config.optim.network.name = "adamw"
    config.optim.network.learning_rate = 1e-4
    config.optim.network.weight_decay = 1e-5
    config.optim.network.decay_vectors = True
    config.optim.ema = 0.0
    config.train.export = "last"
    config.data.resize = STRETCH.name
    return config


def published_schedule(config: ConfigDict, faces: int) -> ConfigDict:
    """300 epochs, a tenth of the rate after 80 and after 200 of them; edits and returns `config`.

    Args:
      config: its `data.batch_size` is set.
      faces: of the training data.
    """
    epoch = faces // config.data.batch_size
    config.train.steps = 300 * epoch
    config.train.eval_every = 10 * epoch
    config.train.save_every = epoch
    config.optim.network.decay = "steps"
    config.optim.network.milestones = (80 * epoch, 200 * epoch)
    return config
