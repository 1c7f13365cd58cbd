"""The fields of SegFace, and its published preset."""

from ml_collections import ConfigDict

from input_pipeline.images.augment import OFF
from input_pipeline.images.resize_rules import STRETCH
from l2s_jax import optim
from l2s_jax.schema import OneOf, Range, within
from l2s_jax.systems import consensus_term

RANGES = {
    "model.warp": OneOf(("none", "exact", "published")),
    "model.stochastic_depth": Range(-1.0, 1.0),
    "model.channels": Range(4, 16384),
    "model.pyramid": Range(1, 16384),
    "model.decoder": Range(1, 16384),
    "model.decoder.depth": Range(1, 64),
    "model.decoder.doublings": Range(1, 2),
    "loss": Range(0.0, 1e6),
    "loss.label_smoothing": Range(0.0, 1.0),
    "loss.pixel_shares": Range(0.0, 1e18),
    "loss.rarity": Range(0.0, 16.0),
    **within("loss.consensus", consensus_term.RANGES),
    **within("optim.network", optim.RANGES),
    "optim.stage_decay": Range(1e-6, 1.0),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our training recipe; `published` sets the authors'."""
    config = ConfigDict()
    config.label_set = "farl19"
    config.model = _model()
    config.loss = ConfigDict()  # weights of the terms, each a mean; 0 = off
    config.loss.cross_entropy = 0.5  # weight of the cross entropy
    config.loss.label_smoothing = 0.0  # of the cross entropy: probability that is spread evenly over all classes
    config.loss.pixel_shares = ()  # pixel share of each class: `classes.NAME.pixel_share` of `l2s data stats --json`
    config.loss.rarity = 0.0  # a class of pixel share s has weight s**-rarity in the cross entropy; 0 = all equal
    config.loss.dice = 0.5  # weight of the soft Dice loss
    config.loss.dice_present_only = True  # Dice over the classes in the batch only; False: over all (published)
    config.loss.consensus = consensus_term.default_config()
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.update(
        name="adamw", learning_rate=1e-3, weight_decay=5e-2, warmup_steps=100, decay="cosine", clip_norm=1.0
    )
    config.optim.stage_decay = 1.0  # learning rate of each backbone stage over that of the next stage; 1 = all equal
    config.optim.ema = 0.998  # decay of the running average that is exported; 0 = export the raw weights
    return config


def _model() -> ConfigDict:
    model = ConfigDict()
    model.backbone = "mobilenet"  # name of a backbone in l2s_jax.models.backbones
    model.init_from = ""  # initial weights: a model, or a file for the backbone alone (initial.py); "" = random
    model.stochastic_depth = -1.0  # drop rate of the backbone's last block; -1 = the published rate
    model.channels = 256  # channels of fused features and class tokens
    model.pyramid = ()  # channels at strides 4, 8, 16 of a light decoder (ours) instead of class tokens; () = tokens
    model.warp = "none"  # none | exact | published: tanh warp around the landmarks, see layers/tanh_warp.py
    model.mirror = False  # average predictions over image and mirror image: better, at twice the cost
    model.decoder = ConfigDict()
    model.decoder.depth = 2  # number of two-way attention blocks
    model.decoder.heads = 8  # attention heads of every attention layer
    model.decoder.mlp = 2048  # hidden width of the tokens' MLPs
    model.decoder.pixel_channels = 32  # channels of the pixel embeddings
    model.decoder.doublings = 2  # upsamplings from stride 4: 2 = an embedding per pixel, 1 = one per 2 x 2 pixels
    return model


def published(config: ConfigDict) -> ConfigDict:
    """Set the authors' recipe, without augmentation; edit and return `config`.

    See docs/methods/segface.md, "Preprocessing and augmentation", "Loss" and "Training".
    `published_schedule` adds the fields that depend on the number of faces.
    """
    config.data.augment.update(OFF)
    config.loss.dice_present_only = False
    config.optim.network = optim.default_config()
    config.optim.network.update(name="adamw", learning_rate=1e-4, weight_decay=1e-5, decay_vectors=True)
    config.optim.ema = 0.0
    config.train.export = "last"
    config.data.resize = STRETCH.name
    return config


def published_schedule(config: ConfigDict, faces: int) -> ConfigDict:
    """Set 300 epochs, with the rate divided by 10 after 80 and after 200 of them; edit and return `config`.

    Args:
      config: a config whose `data.batch_size` is already set.
      faces: number of training faces.
    """
    epoch = faces // config.data.batch_size
    config.train.steps = 300 * epoch
    config.train.eval_every = 10 * epoch
    config.train.save_every = epoch
    config.optim.network.decay = "steps"
    config.optim.network.milestones = (80 * epoch, 200 * epoch)
    return config
