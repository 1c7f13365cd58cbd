"""Initialisation from pretrained weights for the backbone."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax import bundle
from l2s_jax.schema import require
from l2s_jax.systems import initial
from l2s_jax.torch_weights import torchvision
from l2s_jax.types import TrainState

COLLECTIONS = ("params", "batch_stats")


def with_backbone(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the backbone of `config.model.init_from`; everything else stays randomly initialised.

    `init_from` is a model of this system (a bundle folder, a workdir or a name that `l2s models` lists) or a file of
    torchvision's ImageNet weights for the same backbone.

    Raises:
      UserError: no such model or file, or one of another backbone.
    """
    source = config.model.init_from
    if Path(source).is_file():
        found = initial.load_file(config, functools.partial(torchvision.convert_backbone, config.model.backbone))
    else:
        found = _bundle(source)
    params, stats = state.params["network"], state.stats["network"]
    fresh = {"params": params, **stats}
    filled, wrong = dict(fresh), f"model.init_from='{source}' is of another backbone"
    for collection in COLLECTIONS:
        if collection in fresh:
            backbone = initial.filled(fresh[collection]["backbone"], found.get(collection, {}), wrong)
            filled[collection] = fresh[collection] | {"backbone": backbone}
    ema = {"network": jax.tree.map(jnp.copy, filled)} if state.ema else {}
    params = filled.pop("params")
    return state.replace(params={"network": params}, stats={"network": filled}, ema=ema)


def _bundle(source: str) -> dict:
    network = bundle.load(bundle.resolve(source)).variables.get("network", {})
    found = {name: network[name]["backbone"] for name in COLLECTIONS if "backbone" in network.get(name, {})}
    require(found, f"model.init_from='{source}' has no backbone: give a SegFace model or a torchvision file")
    return found
