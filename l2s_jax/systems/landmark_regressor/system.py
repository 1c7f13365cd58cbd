"""Regression of facial landmarks as a system: one network, positions in fractions of the side of the image."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from l2s_jax.losses import landmarks
from l2s_jax.metrics.landmark_error import OUTER_EYES
from l2s_jax.models import recognition
from l2s_jax.systems import single_network
from l2s_jax.systems.initial import filled_network
from l2s_jax.systems.landmark_regressor import scores
from l2s_jax.types import Axis, Batch, PyTree, System, TrainState

NAME = single_network.NAME


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: an image size that the network does not take, a number of points without a known scheme, or no such
        label set.
    """
    model = config.model
    recognition.check(model, config.image_size)
    known = ", ".join(map(str, OUTER_EYES))
    require(model.points in OUTER_EYES, f"model.points={model.points} is no scheme with known eye corners: {known}")
    network = recognition.build_landmarks(model, jnp.dtype(config.precision.compute))
    terms = functools.partial(_terms, network, config)
    return System(
        name="landmark_regressor",
        label_set=labels.get(config.label_set),
        scorer=scores.scorer(network, config.image_size),
        needs=("image", "landmarks"),
        points=model.points,
        init_from=functools.partial(_with_model, config) if model.init_from else None,
        learns_from=tuple(filter(None, (model.init_from,))),
        **single_network.functions(config, network, terms, {config.loss.kind: 1.0}),
    )


def _terms(
    network: nn.Module, config: ConfigDict, variables: PyTree, state: TrainState, batch: Batch, axis: Axis
) -> tuple[dict[str, jax.Array], PyTree]:
    del state  # nothing is random
    loss, true = config.loss, batch["landmarks"] / batch["image"].shape[1]
    outputs, updated = network.apply(variables, batch["image"], train=True, mutable=["batch_stats"])
    arrays = recognition.as_points(outputs), true, batch["weight"], axis.psum
    if loss.kind == "wing":
        value = landmarks.wing(*arrays, width=loss.width, curvature=loss.curvature)
    else:
        value = landmarks.mean_square(*arrays)
    return {loss.kind: value}, updated


def _with_model(config: ConfigDict, state: TrainState) -> TrainState:
    """Return a new state with the network of `config.model.init_from`.

    Raises:
      UserError: no such model, or one of another system or network.
    """
    return single_network.started(state, filled_network(config, {"params": state.params[NAME], **state.stats[NAME]}))
