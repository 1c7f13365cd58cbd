"""An identity encoder as a system: a network whose embeddings tell people apart, trained with ArcFace.

A centre for each person of the training data is trained beside the network and left out of the exported model.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from l2s_jax.layers.unit_length import unit_length
from l2s_jax.losses import margin
from l2s_jax.models import recognition
from l2s_jax.systems import single_network
from l2s_jax.systems.identity_encoder import scores
from l2s_jax.systems.initial import filled_network
from l2s_jax.types import Axis, Batch, PyTree, System, TrainState

NAME = single_network.NAME
_ENCODER, _CENTRES = "encoder", "centres"


class Classified(nn.Module):
    """What training needs: an encoder and the centres of the people it is trained on.

    Attributes:
      encoder: images -> [B, D].
      people: P.
    """

    encoder: nn.Module
    people: int

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Return the embeddings of images [B, S, S, 3], float32 [B, D] of length 1, and the centres [P, D]."""
        embedding = unit_length(self.encoder(image, train=train))
        init = nn.initializers.normal(0.01)
        return embedding, self.param(_CENTRES, init, (self.people, embedding.shape[-1]), jnp.float32)


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: an image size that the network does not take, or no such label set.
    """
    recognition.check(config.model, config.image_size)
    encoder = recognition.build_identity(config.model, jnp.dtype(config.precision.compute))
    network = Classified(encoder, config.model.people)
    weights = {"loss": 1.0, "accuracy": 0.0, "cosine": 0.0}
    shared = single_network.functions(config, network, functools.partial(_terms, network, config), weights)
    return System(
        name="identity_encoder",
        label_set=labels.get(config.label_set),
        scorer=scores.scorer(encoder, config.image_size),
        needs=("image", "identity"),
        people=config.model.people,
        init_from=functools.partial(_with_model, config) if config.model.init_from else None,
        learns_from=tuple(filter(None, (config.model.init_from,))),
        **shared | {"variables": _exported},
    )


def _terms(
    network: Classified, config: ConfigDict, variables: PyTree, state: TrainState, batch: Batch, axis: Axis
) -> tuple[dict[str, jax.Array], PyTree]:
    del state  # nothing is random
    (embedding, centres), updated = network.apply(variables, batch["image"], train=True, mutable=["batch_stats"])
    rows = batch["identity"], batch["weight"], axis.psum
    return margin.arcface(embedding, centres, *rows, **config.loss.to_dict())._asdict(), updated


def _exported(state: TrainState) -> dict[str, PyTree]:
    """Return the variables of the encoder alone."""
    variables = single_network.exported(state)[NAME]
    return {NAME: {collection: tree[_ENCODER] for collection, tree in variables.items()}}


def _with_model(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the encoder of `config.model.init_from`; the centres stay random.

    Raises:
      UserError: no such model, or one of another system or network.
    """
    fresh = {"params": state.params[NAME], **state.stats[NAME]}
    encoder = filled_network(config, {collection: tree[_ENCODER] for collection, tree in fresh.items()})
    return single_network.started(state, {name: fresh[name] | {_ENCODER: tree} for name, tree in encoder.items()})
