"""Initialisation from pretrained weights: arrays that replace those of a newly initialised state."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from input_pipeline.errors import UserError, require
from l2s_jax import bundle
from l2s_jax.torch_weights.torch_file import read_state_dict

T = TypeVar("T")


def load_model(config: ConfigDict) -> bundle.Bundle:
    """Load `config.model.init_from`, a model of the config's system.

    Raises:
      UserError: no such model, or one of another system.
    """
    source = config.model.init_from
    model = bundle.load(bundle.resolve(source))
    system = model.meta.system
    require(system == config.system, f"model.init_from='{source}' is a model of '{system}', not of '{config.system}'")
    return model


def load_file(config: ConfigDict, convert: Callable[[dict], T]) -> T:
    """Convert the PyTorch state dict in the file `config.model.init_from`.

    Raises:
      UserError: the file cannot be read, or `convert` refuses its tensors.
    """
    source = config.model.init_from
    try:
        return convert(read_state_dict(source))
    except UserError as error:
        raise UserError(f"model.init_from='{source}': {error}") from error


def misfit(fresh: Mapping, found: Mapping) -> str:
    """Describe the first array whose name or shape does not match; return "" if all match.

    Args:
      fresh: newly initialised nested dicts of arrays.
      found: pretrained ones.
    """
    want, have = flatten_dict(fresh, sep="/"), flatten_dict(found, sep="/")
    for name in sorted(want.keys() ^ have.keys()):
        return f"it lacks '{name}'" if name in want else f"it has, and the config's lacks, '{name}'"
    for name, array in want.items():
        if array.shape != have[name].shape:
            return f"'{name}' is {have[name].shape}, not {array.shape}"
    return ""


def filled(fresh: Mapping, found: Mapping, wrong: str) -> dict:
    """Return the arrays of `found` with the placement and dtype of those of `fresh`.

    Args:
      fresh, found: as for `misfit`.
      wrong: beginning of the error message.

    Raises:
      UserError: their names or shapes differ.
    """
    reason = misfit(fresh, found)
    require(not reason, f"{wrong}: {reason}")
    want, have = flatten_dict(fresh, sep="/"), flatten_dict(found, sep="/")
    placed = {name: jax.device_put(jnp.asarray(have[name], a.dtype), a.sharding) for name, a in want.items()}
    return unflatten_dict(placed, sep="/")


def filled_network(config: ConfigDict, fresh: Mapping) -> dict:
    """Return the variables `network` of the model `config.model.init_from`, placed as `fresh`, newly initialised ones.

    Raises:
      UserError: no such model, one of another system, or of a network with other variables.
    """
    found = load_model(config).variables.get("network", {})
    wrong = f"model.init_from='{config.model.init_from}' is of another network"
    return {collection: filled(tree, found.get(collection, {}), wrong) for collection, tree in fresh.items()}
