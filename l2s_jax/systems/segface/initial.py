"""Initialisation from trained weights: of the whole network, to go on learning, or of its backbone."""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from l2s_jax.systems import initial, single_network
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
    variables = {"params": params, **stats}
    for name, tree in fresh.items():
        have = found.get(name, {})
        taken = [part for part in tree if part == "backbone" or not initial.misfit(tree[part], have.get(part, {}))]
        variables[name] = tree | {part: initial.filled(tree[part], have.get(part, {}), wrong) for part in taken}
    return single_network.started(state, variables)


def _network(config: ConfigDict) -> dict:
    """Return the variables of the model `config.model.init_from`, without a decoder that tells other classes apart."""
    model = initial.load_model(config)
    network = model.variables.get("network", {})
    if model.meta.label_set.name == config.label_set:
        return network
    return {name: {"backbone": tree["backbone"]} for name, tree in network.items() if "backbone" in tree}
