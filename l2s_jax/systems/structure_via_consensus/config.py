"""The fields of Structure via Consensus, and its published preset."""

from ml_collections import ConfigDict

from input_pipeline.images.augment import OFF
from l2s_jax import optim
from l2s_jax.schema import OneOf, Range, within
from l2s_jax.systems import consensus_term

RANGES = {
    "stage": OneOf(("labels", "teacher")),
    "teacher.labels": OneOf(("soft", "hard")),
    "model.width": Range(2, 16384),
    "model.dropout": Range(0.0, 0.999),
    "loss": Range(0.0, 1e6),
    **within("loss.consensus", consensus_term.RANGES),
    **within("optim.network", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe for both stages; `published` sets the known parts of the authors'."""
    config = ConfigDict()
    config.label_set = "skin_hair"
    config.stage = "labels"  # labels: learn from masks | teacher: learn from another model, masks are ignored
    config.teacher = ConfigDict()
    config.teacher.model = ""  # model of any system: a bundle folder, a workdir, or a name from `l2s models`
    config.teacher.labels = "soft"  # soft: the teacher's probabilities | hard: its most probable class
    config.model = ConfigDict()
    config.model.width = 64  # channels of the first layer, even; all others are proportional (published: 64)
    config.model.dropout = 0.2  # dropout rate before the decoder
    config.model.init_from = ""  # initial weights: a model of this system (e.g. stage 1 for stage 2); "" = random
    config.loss = ConfigDict()  # weights of the terms, each a mean; 0 = off
    config.loss.divergence = 1.0  # KL divergence per pixel from the teacher's soft labels
    config.loss.cross_entropy = 0.5  # cross entropy with masks, or with the teacher's hard labels
    config.loss.dice = 0.5  # soft Dice with masks, or with the teacher's most probable classes
    config.loss.consensus = consensus_term.default_config()  # consensus, with the same labels as Dice
    config.loss.consensus.weight = 0.1
    config.loss.consensus.blobs = "classes"
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.update(
        name="adamw", learning_rate=1e-3, weight_decay=1e-2, warmup_steps=100, decay="cosine", clip_norm=1.0
    )
    config.optim.ema = 0.998  # decay of the running average that is exported; 0 = export the raw weights
    return config


def published(config: ConfigDict) -> ConfigDict:
    """Set the authors' loss, network and augmentation; edit and return `config`.

    See docs/methods/structure_via_consensus.md, "Network", "Published normalisation" and "Augmentation".
    Optimiser, learning rate, batch size and data are not published: plain Adam at 1e-3 is ours. A blob is all pixels of
    a class, as in the authors' instructions.
    """
    config.data.augment.update(OFF | {"flip": config.data.augment.flip})
    config.image_size = 128
    config.teacher.labels = "hard"
    config.loss.divergence = config.loss.cross_entropy = config.loss.dice = 0.0
    config.loss.consensus = consensus_term.default_config()
    config.loss.consensus.weight = 1.0
    config.loss.consensus.blobs = "classes"
    config.loss.consensus.normalisation = "published"
    config.optim.network = optim.default_config()
    config.optim.ema = 0.0
    return config
