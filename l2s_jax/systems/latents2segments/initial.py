"""Initialisation from pretrained weights: the authors began with a Swapping Autoencoder trained on faces (FFHQ)."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax.systems.initial import filled, load_file, load_model, misfit
from l2s_jax.systems.latents2segments.convert import convert_checkpoint
from l2s_jax.types import PyTree, TrainState

AUTOENCODER = ("encoder", "generator")
"""Networks that must match the config; both take images of any size."""

PER_REGION = {"content", "light_2", "own", "coarse", "constant"}
"""Modules and arrays of the sliced networks whose shapes depend on the regions."""

NETWORKS = {"E": "encoder", "G": "generator", "D": "discriminator", "Dpatch": "patch"}
"""Names of our networks by the prefixes of the published ones."""


def with_weights(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the weights of `config.model.init_from` and fresh optimiser states.

    `init_from` is a published checkpoint of a Swapping Autoencoder or of Latents2Segments, or a model of this system (a
    bundle folder, a workdir or a name that `l2s models` lists). Encoder and generator are always loaded, so the
    config must have their sizes; of a model of another label set, the arrays that belong to single regions stay
    randomly initialised (PER_REGION). Discriminators are loaded if they match: not those of another image size, of
    other regions or widths.

    Raises:
      UserError: no such model or file, or one of another size.
    """
    source = config.model.init_from
    found, same = (_published(config), True) if Path(source).is_file() else _bundle(config)
    params = dict(state.params)
    for name in AUTOENCODER:
        wrong = f"model.init_from='{source}' is of another size than the config: its {name} does not fit"
        params[name] = filled(params[name], _own_regions(params[name], found.get(name, {}), same), wrong)
    for name in found.keys() & params.keys() - set(AUTOENCODER):
        if not misfit(params[name], found[name]):
            params[name] = filled(params[name], found[name], name)
    ema = {name: jax.tree.map(jnp.copy, params[name]) for name in state.ema}
    return state.replace(params=params, ema=ema)


def _published(config: ConfigDict) -> dict[str, PyTree]:
    networks = load_file(config, convert_checkpoint)
    return {NETWORKS[kind]: variables["params"] for kind, (_, variables) in networks.items()}


def _bundle(config: ConfigDict) -> tuple[Mapping[str, PyTree], bool]:
    """Return the networks of a model, and whether its regions are those of the config."""
    trained = load_model(config)
    return trained.variables, trained.meta.label_set.name == config.label_set


def _own_regions(fresh: PyTree, found: PyTree, same: bool) -> PyTree:
    """Return `found` with the arrays of single regions taken from `fresh`, unless the regions are the same."""
    return found if same else {**found, **{name: fresh[name] for name in PER_REGION & fresh.keys()}}
