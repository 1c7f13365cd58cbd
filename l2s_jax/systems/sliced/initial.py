"""Initialisation of a sliced autoencoder from another's weights."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax.systems.initial import filled, load_model, misfit
from l2s_jax.types import PyTree, TrainState

AUTOENCODER = ("encoder", "generator")
"""Networks that must match the config; both take images of any size."""

PER_REGION = {"content", "light_2", "own", "coarse", "constant"}
"""Modules and arrays of the sliced networks whose shapes depend on the regions."""


def with_model(config: ConfigDict, channels: str, state: TrainState) -> TrainState:
    """Return a new state with the weights of the model `config.model.init_from`, see `with_networks`.

    Args:
      config: of the new state.
      channels: the field of `config.model` that gives the channels of each slice.
      state: the new state.

    Raises:
      UserError: no such model, one of another system or of another size.
    """
    trained = load_model(config)
    alike = tuple(config.model[channels]) == tuple(trained.meta.config["model"][channels])
    same = alike and trained.meta.label_set.name == config.label_set
    return with_networks(config, state, trained.variables, same)


def with_networks(config: ConfigDict, state: TrainState, found: Mapping[str, PyTree], same: bool) -> TrainState:
    """Return a new state with pretrained parameters and fresh optimiser states.

    Encoder and generator are always loaded, so the config must have their sizes. Discriminators are loaded if they
    match: not those of another image size, of other regions or widths.

    Args:
      config: `model.init_from` names where `found` comes from.
      state: the new state.
      found: parameters by network.
      same: their regions are those of the config; if not, arrays of single regions (PER_REGION) stay as they are.

    Raises:
      UserError: encoder or generator are of another size.
    """
    params = dict(state.params)
    for name in AUTOENCODER:
        wrong = (
            f"model.init_from='{config.model.init_from}' is of another size than the config: its {name} does not fit"
        )
        own = {} if same else {part: params[name][part] for part in PER_REGION & params[name].keys()}
        params[name] = filled(params[name], {**found.get(name, {}), **own}, wrong)
    for name in found.keys() & params.keys() - set(AUTOENCODER):
        if not misfit(params[name], found[name]):
            params[name] = filled(params[name], found[name], name)
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in state.ema}
    return state.replace(params=params, ema=ema)
