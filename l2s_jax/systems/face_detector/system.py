"""Detection of faces as a system: one network, trained in scenes that are composed from each batch of portraits."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.labels import LabelSet
from l2s_jax.systems import single_network
from l2s_jax.systems.face_detector import portraits, scores, targets
from l2s_jax.systems.face_detector.network import COARSEST, Detector
from l2s_jax.systems.face_detector.scenes import compose
from l2s_jax.types import Axis, Batch, PyTree, System, TrainState, example_rngs, step_rng

STAGES = 4


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: an image size that the network cannot halve five times, another number of stages, or a label set
        without eyes, nose or lips.
    """
    model, label_set = config.model, labels.get(config.label_set)
    require(config.image_size % COARSEST == 0, f"image_size={config.image_size} must be a multiple of {COARSEST}")
    for field in ("depths", "widths"):
        require(len(model[field]) == STAGES, f"model.{field}={model[field]} must be {STAGES} numbers, one a stage")
    portraits.classes(label_set)
    network = Detector(model.stem, model.depths, model.widths, model.join, jnp.dtype(config.precision.compute))
    weights = {name: config.loss[name] for name in ("heat", "side", "points")}
    return System(
        name="face_detector",
        label_set=label_set,
        detect=functools.partial(scores.find, network),
        scorer=scores.scorer(network, config.image_size, label_set),
        any_size=True,
        **single_network.functions(config, network, functools.partial(_terms, network, label_set), weights),
    )


def _terms(
    network: nn.Module, label_set: LabelSet, variables: PyTree, state: TrainState, batch: Batch, axis: Axis
) -> tuple[dict[str, jax.Array], PyTree]:
    """Return the unweighted terms of scenes by the names of their weights, and the new batch statistics."""
    keys = example_rngs(step_rng(state, "scenes"), axis, len(batch["weight"]))
    everybody = {name: axis.all_gather(batch[name]) for name in ("image", "mask", "weight")}
    image, faces = compose(keys, everybody, label_set, axis.local_rows)
    outputs, updated = network.apply(variables, image, train=True, mutable=["batch_stats"])
    return targets.terms(outputs, faces, batch["weight"], axis.psum), updated
