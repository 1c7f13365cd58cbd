"""Initialisation from pretrained weights: stage 2 begins with the network of stage 1."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax import bundle
from l2s_jax.systems.initial import load_model
from l2s_jax.types import TrainState

LAST = "classes"
"""The layer whose shape depends on the label set."""


def with_model(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with weights and batch statistics of `config.model.init_from` and a fresh optimiser state.

    If the model has another label set, its last layer is not loaded and stays randomly initialised.

    Raises:
      UserError: no such model, or one of another system or width.
    """
    trained = load_model(config)
    fresh = {"network": {"params": state.params["network"], **state.stats["network"]}}
    if trained.meta.label_set.name != config.label_set:
        network = trained.variables.get("network", {})
        params = network.get("params", {}) | {LAST: fresh["network"]["params"][LAST]}
        trained = trained._replace(variables={"network": network | {"params": params}})
    found = jax.tree.map(
        lambda array, like: jax.device_put(jnp.asarray(array), like.sharding), bundle.fit(trained, fresh), fresh
    )
    ema = jax.tree.map(jnp.copy, found) if state.ema else {}
    stats = dict(found["network"])
    return state.replace(params={"network": stats.pop("params")}, stats={"network": stats}, ema=ema)
