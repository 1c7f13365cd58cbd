"""The fields of Independent Subspaces. The paper gives no sizes, weights or optimiser: all are ours."""

from ml_collections import ConfigDict

from l2s_jax.systems.sliced import fields

RANGES = fields.RANGES | {"model.subspaces": fields.CHANNELS}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return our recipe, sized for two CPU cores at 64 to 128 px."""
    config = ConfigDict()
    config.label_set = "subspace_parts"  # the five parts of the paper's Fig. 1; any other set gives other subspaces
    config.teacher = ConfigDict()
    config.teacher.model = ""  # model that labels the images without masks: a bundle folder, a workdir or a name
    config.model = ConfigDict()
    config.model.init_from = ""  # initial weights: a model of this system; "" = random
    config.model.subspaces = (8, 8, 6, 6, 6)  # channels of each subspace in label order, its coverage first
    fields.add_networks(config.model)
    config.loss = fields.loss()
    config.loss.independence = 0.5
    config.independence = fields.independence()
    config.schedule = fields.schedule()
    config.optim = fields.optimisers()
    return config
