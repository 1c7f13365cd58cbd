"""The scores of a landmark regressor: its errors, beside those of the mean shape and of random weights."""

import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.metrics.landmark_error import landmark_scores
from l2s_jax.models import recognition
from l2s_jax.systems.single_network import NAME, untrained_network
from l2s_jax.types import Batch, PyTree, Scorer

NAMES = ("landmarks.nme", "landmarks.pixels", "landmarks.failures")
_COLUMNS = 8
"""Faces in the report's picture."""
_DOT = 1 / 96
"""Radius of a drawn point, as a fraction of the side."""


def scorer(network: nn.Module, side: int) -> Scorer:
    """Return the scorer of a regressor for images of `side` pixels."""
    return Scorer(
        names=NAMES,
        collect=functools.partial(_collect, network),
        summary=summary,
        untrained=functools.partial(untrained_network, network, side),
        pictures=functools.partial(_pictures, network),
    )


def find_points(network: nn.Module, variables: PyTree, image: jax.Array) -> jax.Array:
    """Return the landmarks that a network finds in images [B, S, S, 3], float32 [B, K, 2] (x, y) pixels."""
    return recognition.points(network, variables[NAME], image) * image.shape[1]


def _collect(network: nn.Module, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    return {"found": find_points(network, variables, batch["image"]), "true": batch["landmarks"]}


def summary(rows: Mapping[str, np.ndarray], untrained: Mapping[str, np.ndarray] | None) -> dict:
    """Summarise the arrays of `_collect`.

    Args:
      rows: of all faces.
      untrained: the same of a network with random weights, or None.

    Returns:
      `landmarks`: the scores of `metrics.landmark_error`, the number of `faces`, and the scores of the baselines:
      `mean_shape` (the mean of the true landmarks of these faces) and, if it is given, `untrained`.
    """
    true = rows["true"]
    scores = landmark_scores(rows["found"], true) | {"faces": len(true)}
    scores["mean_shape"] = landmark_scores(np.broadcast_to(true.mean(axis=0), true.shape), true)
    if untrained is not None:
        scores["untrained"] = landmark_scores(untrained["found"], true)
    return {"landmarks": scores}


def _pictures(network: nn.Module, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    image = batch["image"][:_COLUMNS]
    found, true = find_points(network, variables, image), batch["landmarks"][:_COLUMNS]
    return {"landmarks: as they are, as they are found": jnp.stack([_dotted(image, true), _dotted(image, found)])}


def _dotted(image: jax.Array, points: jax.Array) -> jax.Array:
    """Draw points [B, K, 2] (x, y) pixels into images [B, S, S, 3] as green dots."""
    side = image.shape[1]
    at = jnp.arange(side) + 0.5
    across, down = (jnp.square(at[None, None] - points[..., i, None]) for i in (0, 1))  # [B, K, S]
    nearest = jnp.min(down[..., :, None] + across[..., None, :], axis=1)
    dot = nearest[..., None] < max(_DOT * side, 0.75) ** 2
    return jnp.where(dot, jnp.array([-1.0, 1.0, -1.0])[None, None, None], image)
