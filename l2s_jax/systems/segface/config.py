"""The fields of SegFace, and its published preset."""

from ml_collections import ConfigDict

from l2s_jax import optim


def default_config() -> ConfigDict:
    """Our training recipe; `published` is the authors'."""
    config = ConfigDict()
    config.label_set = "farl19"
    config.model = ConfigDict()
    config.model.backbone = "mobilenet"  # see l2s_jax.models.backbones
    config.model.stochastic_depth = -1.0  # drop rate of the backbone's last block; -1 = as published for it
    config.model.channels = 256  # of fused features and class tokens
    config.loss = ConfigDict()  # weights of terms that are means; 0 = without the term
    config.loss.cross_entropy = 0.5
    config.loss.label_smoothing = 0.0  # in the cross entropy, share of the probability spread over all classes
    config.loss.dice = 0.5
    config.loss.dice_present_only = True  # mean over the classes that the batch shows; False: over all (published)
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    config.optim.network.name = "adamw"
    config.optim.network.learning_rate = 1e-3
    config.optim.network.weight_decay = 5e-2
    config.optim.network.warmup_steps = 100
    config.optim.network.decay = "cosine"
    config.optim.network.clip_norm = 1.0
    config.optim.ema = 0.998  # decay of the exported weights; 0 = export the raw weights
    return config


def published(config: ConfigDict) -> ConfigDict:
    """The authors' recipe (spec A11, A12) but for the steps of its learning rate; edits and returns `config`."""
    config.loss.dice_present_only = False
    config.optim.network = optim.default_config()
    config.optim.network.name = "adamw"
    config.optim.network.learning_rate = 1e-4
    config.optim.network.weight_decay = 1e-5
    config.optim.ema = 0.0
    return config
