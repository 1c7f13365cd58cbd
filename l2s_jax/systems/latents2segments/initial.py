"""Initialisation from pretrained weights: the authors began with a Swapping Autoencoder trained on faces (FFHQ)."""

from pathlib import Path

from ml_collections import ConfigDict

from l2s_jax.systems.initial import load_file
from l2s_jax.systems.latents2segments.convert import convert_checkpoint
from l2s_jax.systems.sliced.initial import with_model, with_networks
from l2s_jax.types import TrainState

NETWORKS = {"E": "encoder", "G": "generator", "D": "discriminator", "Dpatch": "patch"}
"""Names of our networks by the prefixes of the published ones."""


def with_weights(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the weights of `config.model.init_from` and fresh optimiser states.

    `init_from` is a published checkpoint of a Swapping Autoencoder or of Latents2Segments, or a model of this system (a
    bundle folder, a workdir or a name that `l2s models` lists); see `sliced.initial.with_networks`.

    Raises:
      UserError: no such model or file, or one of another size.
    """
    if not Path(config.model.init_from).is_file():
        return with_model(config, "slices", state)
    published = load_file(config, convert_checkpoint)
    networks = {NETWORKS[kind]: variables["params"] for kind, (_, variables) in published.items()}
    return with_networks(config, state, networks, same=True)
