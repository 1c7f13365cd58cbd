"""The scores of an identity encoder: verification on people it never saw, beside pixels and random weights."""

import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.layers.adaptive_average import adaptive_average
from l2s_jax.metrics.verification import FALSE_ACCEPTS, verification
from l2s_jax.models import recognition
from l2s_jax.systems.single_network import NAME, untrained_network
from l2s_jax.types import Batch, PyTree, Scorer

NAMES = ("verification.auc", "verification.eer", *(f"verification.{name}" for name in FALSE_ACCEPTS))
_CELLS = 8
"""Side of the pictures that the baseline of pixels compares."""
_ROWS, _COLUMNS = 8, 6
"""Of the report's picture."""


def scorer(encoder: nn.Module, side: int) -> Scorer:
    """Return the scorer of an encoder for images of `side` pixels."""
    return Scorer(
        names=NAMES,
        collect=functools.partial(_collect, encoder),
        summary=summary,
        untrained=functools.partial(untrained_network, encoder, side),
        pictures=functools.partial(_pictures, encoder),
    )


def _collect(encoder: nn.Module, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    return {
        "embedding": recognition.embed(encoder, variables[NAME], batch["image"]),
        "pixels": adaptive_average(batch["image"], _CELLS).reshape(len(batch["image"]), -1),
        "identity": batch["identity"],
    }


def summary(rows: Mapping[str, np.ndarray], untrained: Mapping[str, np.ndarray] | None) -> dict:
    """Summarise the arrays of `_collect`.

    Args:
      rows: of all faces.
      untrained: the same of a network with random weights, or None.

    Returns:
      `verification`: the scores of `metrics.verification`, the numbers of `faces` and `people`, and the scores of the
      baselines: `pixels` (cosine of the faces as 8 x 8 pixels without their mean) and, if it is given, `untrained`.
    """
    people = rows["identity"]
    pixels = np.asarray(rows["pixels"], np.float64)
    scores = verification(rows["embedding"], people)
    scores |= {"faces": len(people), "people": len(np.unique(people))}
    scores["pixels"] = verification(pixels - pixels.mean(axis=0, keepdims=True), people)
    if untrained is not None:
        scores["untrained"] = verification(untrained["embedding"], people)
    return {"verification": scores}


def _pictures(encoder: nn.Module, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    embedding = recognition.embed(encoder, variables[NAME], batch["image"])
    likeness = embedding @ embedding.T - 3.0 * (batch["weight"] == 0)[None]
    likeness += jnp.eye(len(embedding))  # every face comes first in its own row
    order = jnp.argsort(-likeness, axis=1)[:_ROWS, :_COLUMNS]
    return {"each face, and the faces most like it": batch["image"][order]}
