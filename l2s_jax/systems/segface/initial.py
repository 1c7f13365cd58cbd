"""Initialisation from trained weights: of the whole network, to go on learning, or of its backbone."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax import bundle
from l2s_jax.systems import initial
from l2s_jax.torch_weights import torchvision
from l2s_jax.types import TrainState

COLLECTIONS = ("params", "batch_stats")


def with_weights(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the weights of `config.model.init_from`; what those lack stays randomly initialised.

    `init_from` is a model of this system (a bundle folder, a workdir or a name that `l2s models` lists) or a file of
    torchvision's ImageNet weights for the same backbone. A model's decoder is taken too if it has the same classes in
    the same order and arrays of the same shapes; of any other model the backbone alone.

    Raises:
      UserError: no such model or file, or one of another backbone.
    """
    source = config.model.init_from
    params, stats = state.params["network"], state.stats["network"]
    fresh = {name: tree for name, tree in {"params": params, **stats}.items() if name in COLLECTIONS}
    if Path(source).is_file():
        found = initial.load_file(config, functools.partial(torchvision.convert_backbone, config.model.backbone))
        found = {name: {"backbone": tree} for name, tree in found.items()}
    else:
        found = _network(config)
    wrong = f"model.init_from='{source}' is of another backbone"
    filled = {"params": params, **stats}
    for name, tree in fresh.items():
        have = found.get(name, {})
        taken = [part for part in tree if part == "backbone" or not initial.misfit(tree[part], have.get(part, {}))]
        filled[name] = tree | {part: initial.filled(tree[part], have.get(part, {}), wrong) for part in taken}
    ema = {"network": jax.tree.map(jnp.copy, filled)} if state.ema else {}
    params = filled.pop("params")
    return state.replace(params={"network": params}, stats={"network": filled}, ema=ema)


def _network(config: ConfigDict) -> dict:
    """Return the variables of a SegFace model, without a decoder that decides between other classes."""
    source = config.model.init_from
    model = bundle.load(bundle.resolve(source))
    network = model.variables.get("network", {})
    require(
        "backbone" in network.get("params", {}),
        f"model.init_from='{source}' has no backbone: give a SegFace model or a torchvision file",
    )
    if model.meta.label_set.name == config.label_set:
        return network
    return {name: {"backbone": tree["backbone"]} for name, tree in network.items() if "backbone" in tree}
