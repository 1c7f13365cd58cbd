"""The frozen networks that other systems have trained, and an initial mapper, read into a new state."""

from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax import bundle
from l2s_jax.systems.id_disentanglement import generators
from l2s_jax.systems.id_disentanglement.convert import convert_mapper
from l2s_jax.systems.id_disentanglement.networks import TRAINED, Networks
from l2s_jax.systems.id_disentanglement.training import with_landmark_trunk
from l2s_jax.systems.initial import filled, load_file, load_model
from l2s_jax.systems.single_network import NAME
from l2s_jax.types import TrainState


def sources_of_all(config: ConfigDict) -> tuple[str, ...]:
    """Return everything that a training of this config learns from."""
    return (*sources(config).values(), *filter(None, (config.model.init_from,)))


def sources(config: ConfigDict) -> dict[str, str]:
    """Return where each frozen network is read from, by name; those without a source are left out."""
    named = {name: config.encoders[name] for name in ("identity", "evaluator", "landmarks")}
    return {name: source for name, source in ({"generator": config.generator.model} | named).items() if source}


_SYSTEMS = {
    "generator": "stylegan2",
    "identity": "identity_encoder",
    "evaluator": "identity_encoder",
    "landmarks": "landmark_regressor",
}
_FIELDS = {"generator": "generator.model"}


def with_models(config: ConfigDict, networks: Networks, state: TrainState) -> TrainState:
    """Return a new state with the networks that the config names, and the statistics of the generator's codes.

    Raises:
      UserError: no such model, one of another system, or of other sizes than the config's.
    """
    stats = dict(state.stats)
    for name, source in sources(config).items():
        field = _FIELDS.get(name, f"encoders.{name}")
        model = bundle.load(bundle.resolve(source))
        wanted = _SYSTEMS[name]
        require(
            model.meta.system == wanted, f"{field}='{source}' is a model of '{model.meta.system}', not of '{wanted}'"
        )
        found = model.variables.get("generator" if name == "generator" else NAME, {})
        stats[name] = filled(stats[name], found, f"{field}='{source}' is of another size than the config")
    if config.generator.model:
        key = jax.random.fold_in(state.rng, generators.CODES)
        fresh = jax.jit(generators.statistics, static_argnums=0)(networks.generator, stats["generator"], key)
        stats["codes"] = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), fresh, stats["codes"])
    state = state.replace(stats=stats)
    if config.model.attributes.from_landmarks and not config.encoders.steps:
        state = with_landmark_trunk(state)
    return _with_mapper(config, state) if config.model.init_from else state


def _with_mapper(config: ConfigDict, state: TrainState) -> TrainState:
    """Return the state with M, and E_attr if it is there, of `config.model.init_from`.

    Raises:
      UserError: it cannot be read, or it does not fit the config.
    """
    source = config.model.init_from
    if Path(source).is_file():
        found = {"mapper": load_file(config, lambda tensors: convert_mapper(tensors)[1])}
    else:
        variables = load_model(config).variables
        found = {name: variables.get(name, {}) for name in TRAINED}
    wrong = f"model.init_from='{source}' is of another size than the config"
    params = state.params | {name: filled(state.params[name], tree, wrong) for name, tree in found.items()}
    return state.replace(params=params, ema={name: jax.tree.map(jnp.copy, params[name]) for name in state.ema})
