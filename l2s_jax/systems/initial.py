"""Initialisation from pretrained weights: arrays that replace those of a newly initialised state."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from input_pipeline.errors import UserError


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
    if reason := misfit(fresh, found):
        raise UserError(f"{wrong}: {reason}")
    want, have = flatten_dict(fresh, sep="/"), flatten_dict(found, sep="/")
    placed = {name: jax.device_put(jnp.asarray(have[name], a.dtype), a.sharding) for name, a in want.items()}
    return unflatten_dict(placed, sep="/")
