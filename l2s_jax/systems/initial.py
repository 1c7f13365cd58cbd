"""What head starts share: arrays that were trained before, in the places of fresh ones."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from input_pipeline.errors import UserError


def misfit(fresh: Mapping, found: Mapping) -> str:
    """What keeps arrays from the places of others: names the first of another name or shape; "" where all fit.

    Args:
      fresh: nested dicts of arrays.
      found: the same, trained before.
    """
    want, have = flatten_dict(fresh, sep="/"), flatten_dict(found, sep="/")
    for name in sorted(want.keys() ^ have.keys()):
        return f"it lacks '{name}'" if name in want else f"it has, and the config's lacks, '{name}'"
    for name, array in want.items():
        if array.shape != have[name].shape:
            return f"'{name}' is {have[name].shape}, not {array.shape}"
    return ""


def filled(fresh: Mapping, found: Mapping, wrong: str) -> dict:
    """The arrays of `found`, placed and typed as those of `fresh`.

    Args:
      fresh, found: as for `misfit`.
      wrong: how the sentence begins if they do not fit.

    Raises:
      UserError: they do not fit.
    """
    if reason := misfit(fresh, found):
        raise UserError(f"{wrong}: {reason}")
    want, have = flatten_dict(fresh, sep="/"), flatten_dict(found, sep="/")
    placed = {name: jax.device_put(jnp.asarray(have[name], a.dtype), a.sharding) for name, a in want.items()}
    return unflatten_dict(placed, sep="/")
