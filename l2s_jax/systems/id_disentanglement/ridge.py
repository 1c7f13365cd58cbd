"""The baseline: a code of a face by ridge regression."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from l2s_jax.systems.id_disentanglement.networks import Networks
from l2s_jax.systems.id_disentanglement.optimisers import everything
from l2s_jax.types import Axis, Batch, Metrics, TrainState, step_rng

RIDGE = 1.0
"""Factor of the squared weights in the baseline of ridge regression."""
THUMBNAIL = 16
"""Side of the pictures that this baseline sees, pixels."""


def fit_ridge(
    networks: Networks, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Fit the code of a face linearly to its own identity and a thumbnail of it, on faces of this step's own."""
    del batch, axis  # every device fits the same faces
    known, size = everything(state), 64
    keys = jax.random.split(step_rng(state, "ridge"), max(1, config.schedule.ridge_faces // size))

    def some(key):
        code = networks.codes(known, jax.random.normal(key, (size, networks.generator.latent)))
        image = networks.draw(known, code)
        return ridge_features(networks.embed(known, image), image), code

    features, codes = (x.reshape(-1, x.shape[-1]) for x in jax.lax.map(some, keys))
    gram = features.T @ features + RIDGE * jnp.eye(features.shape[1])
    return state.replace(stats=state.stats | {"ridge": {"kernel": jnp.linalg.solve(gram, features.T @ codes)}}), {}


def ridge_features(identity: jax.Array, image: jax.Array) -> jax.Array:
    """Return what ridge regression sees, [B, F]: an identity, a thumbnail of the attribute image, and 1."""
    small = jax.image.resize(image, (len(image), THUMBNAIL, THUMBNAIL, 3), "linear").reshape(len(image), -1)
    return jnp.concatenate((identity, small, jnp.ones((len(image), 1))), axis=-1)


def ridge_size(networks: Networks) -> tuple[int, int]:
    """Return the shape of the fitted matrix."""
    return networks.identity.outputs + 3 * THUMBNAIL**2 + 1, networks.generator.width
