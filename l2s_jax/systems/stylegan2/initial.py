"""The initial generator from a model of this system or from published weights, for `model.init_from`."""

from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax.models.stylegan2.synthesis import BUFFERS
from l2s_jax.systems.initial import filled, load_file, load_model
from l2s_jax.systems.stylegan2.convert import convert_generator
from l2s_jax.systems.stylegan2.steps import GENERATOR
from l2s_jax.types import TrainState


def with_weights(config: ConfigDict, state: TrainState) -> TrainState:
    """Return the state with the generator of `config.model.init_from`; the discriminator stays random.

    Args:
      config: the resolved config; `model.init_from` is a model of this system or a published generator's file.
      state: newly initialised.

    Raises:
      UserError: the weights cannot be read or do not fit the config.
    """
    source = config.model.init_from
    if Path(source).is_file():
        found = load_file(config, lambda tensors: convert_generator(tensors).variables)
    else:
        found = load_model(config).variables[GENERATOR]
    fresh = {"params": state.params[GENERATOR], BUFFERS: state.stats[GENERATOR]}
    variables = filled(fresh, found, f"model.init_from='{source}' does not fit the config")
    ema = {GENERATOR: jax.tree.map(jnp.copy, variables["params"])} if state.ema else {}
    return state.replace(
        params=state.params | {GENERATOR: variables["params"]},
        stats=state.stats | {GENERATOR: variables[BUFFERS]},
        ema=ema,
    )
