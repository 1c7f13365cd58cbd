"""The fields of Structure via Consensus, and its published preset."""

from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.schema import Range, within
from l2s_jax.systems import consensus_term

CHOICES = {"stage": ("labels", "teacher"), "teacher.labels": ("soft", "hard")}
RANGES = {
    "model.width": Range(2, 16384),
    "model.dropout": Range(0.0, 1.0),
    "loss": Range(0.0, 1e6),
    **within("loss.consensus", consensus_term.RANGES),
    **within("optim.network", optim.RANGES),
    "optim.ema": Range(0.0, 1.0),
}
"""Of the numbers of `default_config()`."""


def default_config() -> ConfigDict:
    """Our recipe for both stages; `published` is what is known of the authors'."""
    config = ConfigDict()
    config.label_set = "skin_hair"
    config.stage = "labels"  # labels: learn from masks | teacher: from what another model says; masks are not looked at
    config.teacher = ConfigDict()
    config.teacher.model = ""  # of any system: a bundle folder, a workdir, or a name that `l2s models` lists
    config.teacher.labels = "soft"  # soft: its probabilities | hard: its most probable class
    config.model = ConfigDict()
    config.model.width = 64  # channels of the first features, even; all others are in proportion (published: 64)
    config.model.dropout = 0.2  # rate, in front of the decoder
    config.model.init_from = ""  # a model of this system that training starts from (stage 1 of stage 2); "" = random
    config.loss = ConfigDict()  # weights of terms that are means; 0 = without the term
    config.loss.divergence = 1.0  # from the teacher's soft labels, for each pixel
    config.loss.cross_entropy = 0.5  # with masks, or with the teacher's hard labels
    config.loss.dice = 0.5  # of masks; of a teacher, soft or hard, with its most probable classes
    config.loss.consensus = consensus_term.default_config()  # of the same
    config.loss.consensus.weight = 0.1
    config.loss.consensus.blobs = "classes"
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.name = "adamw"
    config.optim.network.learning_rate = 1e-3
    config.optim.network.weight_decay = 1e-2
    config.optim.network.warmup_steps = 100
    config.optim.network.decay = "cosine"
    config.optim.network.clip_norm = 1.0
    config.optim.ema = 0.998  # decay of the exported weights and batch statistics; 0 = export the raw ones
    return config


def published(config: ConfigDict) -> ConfigDict:
    """The authors' loss, network and augmentation; edits and returns `config`.

    See docs/methods/structure_via_consensus.md, "Network", "Published normalisation" and "Augmentation".
    Optimiser, rate, batch size and data are not published: plain Adam at 1e-3 is ours. Blobs are all pixels of a class,
    as in the authors' instructions.
    """
    augment = config.data.augment
    augment.scale_min = augment.scale_max = 1.0
    augment.rotate = augment.shift = 0.0
    augment.brightness = augment.contrast = augment.saturation = augment.tint = augment.grey = 0.0
    augment.blur = augment.jpeg = augment.noise = 0.0
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
