"""The training steps of the encoders, on drawn faces."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax.losses import identity as losses
from l2s_jax.losses.reductions import global_mean
from l2s_jax.models import face_renderer
from l2s_jax.systems.id_disentanglement.networks import Networks
from l2s_jax.systems.id_disentanglement.optimisers import applied, own_gradients
from l2s_jax.types import Axis, Batch, Metrics, PyTree, TrainState, example_rngs, step_rng

PEOPLE = 1
"""Folded into the state's key: the key of the training people."""
FACES = 4
"""Faces drawn for each row of a batch that trains the landmark network."""
PEOPLE_A_ROW = 2
"""People drawn for each row of a batch that trains an identity network, two pictures of each."""
SHAPES = 2.0
"""Weight of the shapes of the parts, beside all landmarks, in the training of the landmark network."""
CENTRED = 128
"""Faces whose mean embedding `centred` takes off."""
LAST = "Dense_0"
"""The last layer of `SmallEncoder`."""


def centred(networks: Networks, variables: PyTree, name: str, rng: jax.Array) -> PyTree:
    """Return a new identity network whose mean output over drawn faces is 0, by its last bias (ours).

    Without that, all faces begin with almost the same embedding, and hundreds of batches pass until they part.
    """
    halves = _halves(jax.random.split(rng, CENTRED))
    mean = jnp.mean(getattr(networks, name).apply(variables, face_renderer.render(*halves, networks.side)), axis=0)
    last = variables["params"][LAST]
    return {"params": variables["params"] | {LAST: last | {"bias": last["bias"] - mean}}}


def train_identity(
    networks: Networks, built: Mapping, config: ConfigDict, name: str, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train the identity network called `name` to find each person's other picture among those of the batch.

    The people are a fixed set, numbers 0 to `encoders.people` - 1; both pictures have attributes of their own.
    """
    rows = example_rngs(step_rng(state, name), axis, batch["weight"].shape[0])
    rows = jax.vmap(lambda key: jax.random.split(key, PEOPLE_A_ROW))(rows).reshape(-1)
    weight = jnp.repeat(batch["weight"], PEOPLE_A_ROW)
    person = jax.vmap(lambda key: jax.random.randint(key, (), 0, config.encoders.people))(rows)
    crowd = jax.random.fold_in(state.rng, PEOPLE)
    identity = _normal(jax.vmap(jax.random.fold_in, in_axes=(None, 0))(crowd, person), face_renderer.IDENTITY)
    looks = jax.vmap(lambda key: jax.random.split(key))(rows)
    looks = _normal(jnp.concatenate((looks[:, 0], looks[:, 1])), face_renderer.ATTRIBUTES)
    images = face_renderer.render(jnp.tile(identity, (2, 1)), looks, networks.side)

    def terms(variables):
        both = networks.embed(variables, images, name)
        settings = config.encoders.margin, config.encoders.scale
        loss, accuracy = losses.contrastive_loss(*jnp.split(both, 2), *settings, weight, axis)
        return loss, {"loss": loss, "accuracy": accuracy}

    gradients, metrics = own_gradients(terms, state, name, axis)
    return applied(built, name, gradients, state, state), metrics


def train_landmarks(
    networks: Networks, built: Mapping, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train the landmark network on drawn faces, whose landmarks are known."""
    rows = example_rngs(step_rng(state, "landmarks"), axis, batch["weight"].shape[0])
    keys = jax.vmap(lambda key: jax.random.split(key, FACES))(rows).reshape(-1)
    weight = jnp.repeat(batch["weight"], FACES)
    halves = _halves(keys)
    image = face_renderer.render(*halves, networks.side)
    truth = face_renderer.landmarks(*halves, networks.side)

    def terms(variables):
        found = networks.points(variables, image) * networks.side
        loss = global_mean(jnp.abs(found - truth), weight, axis.psum)
        loss += SHAPES * global_mean(jnp.abs(losses.shapes(found) - losses.shapes(truth)), weight, axis.psum)
        distance = global_mean(jnp.linalg.norm(found - truth, axis=-1), weight, axis.psum)
        return loss, {"loss": loss, "pixels": distance}

    gradients, metrics = own_gradients(terms, state, "landmarks", axis)
    return applied(built, "landmarks", gradients, state, state), metrics


def _halves(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw the identity factors and the attribute factors of one face for each key."""
    factors = _normal(keys, face_renderer.IDENTITY + face_renderer.ATTRIBUTES)
    return factors[:, : len(face_renderer.IDENTITY)], factors[:, len(face_renderer.IDENTITY) :]


def _normal(keys: jax.Array, factors: tuple[str, ...]) -> jax.Array:
    return jax.vmap(lambda key: jax.random.normal(key, (len(factors),)))(keys)
