"""Structure via Consensus (Masi, Mathai and AbdAlmageed, CVPR 2020, arXiv 1911.00957) as a system of two stages.

In stage 1 (`stage=teacher`) a small network learns to predict another model's labels on photos without masks; in stage
2 (`stage=labels`) training continues from it (`model.init_from`) with masks. In both, the consensus loss makes
predictions within a blob agree. See config.py for the recipes, teacher.py for the other model.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.loading.resolution_schedule import sides_by_field
from l2s_jax.layers import dropout
from l2s_jax.layers.blobs import largest_blobs
from l2s_jax.losses import distillation, segmentation
from l2s_jax.models.face_occ_net import FaceOccNet
from l2s_jax.systems import consensus_term, single_network
from l2s_jax.systems.structure_via_consensus.initial import with_model
from l2s_jax.systems.teacher import Teacher, frozen_teacher
from l2s_jax.types import Axis, Batch, Metrics, Prediction, PyTree, System, TrainState, step_rng


def build(config: ConfigDict) -> System:
    """Build the system of one config. The teacher is not opened until the steps need it.

    Raises:
      UserError: unknown label set, or sizes that the network does not support.
    """
    _check(config)
    label_set = labels.get(config.label_set)
    dtype = jnp.dtype(config.precision.compute)
    network = FaceOccNet(len(label_set), config.model.width, config.model.dropout, dtype)
    terms, weights = functools.partial(_terms, network, config), consensus_term.weights(config.loss)
    shared, frozen = single_network.functions(config, network, terms, weights, step=config.stage), None
    if config.stage == "teacher":
        shared["steps"] = {"teacher": functools.partial(_learn_from, config, shared["steps"]["teacher"])}
        frozen = functools.partial(frozen_teacher, config.teacher.model, label_set)
    return System(
        name="structure_via_consensus",
        label_set=label_set,
        predict=functools.partial(_predict, network),
        init_from=functools.partial(with_model, config) if config.model.init_from else None,
        needs=("image", "mask", *consensus_term.needs(config)) if config.stage == "labels" else ("image",),
        any_size=True,
        frozen=frozen,
        learns_from=tuple(filter(None, (config.model.init_from, config.teacher.model if frozen else ""))),
        **shared,
    )


def _check(config: ConfigDict) -> None:
    for field, side in sides_by_field(config.image_size, config.data.resolution_schedule):
        require(side % 4 == 0 and side >= 20, f"{field}={side} must be a multiple of 4, at least 20")
    require(config.model.width % 2 == 0, f"model.width={config.model.width} must be an even number")
    consensus_term.check(config)


def _learn_from(
    config: ConfigDict, learn: Callable, state: TrainState, batch: Batch, axis: Axis, teacher: Teacher
) -> tuple[TrainState, Metrics]:
    """Run stage 1: the step of stage 2 on a batch with the teacher's labels."""
    return learn(state, taught(config, teacher, batch), axis)


def taught(config: ConfigDict, teacher: Teacher, batch: Batch) -> Batch:
    """Replace the labels of a batch by a teacher's, also outside the photo.

    Args:
      config: config of the student.
      teacher: from `open_teacher`.
      batch: images; a `mask`, if there is one, is ignored.

    Returns:
      the batch with `mask` int32 [B, H, W], the most probable class; `probabilities` float32 [B, H, W, K] if labels are
      soft; and, if the loss needs connected components, `blobs` int32 [B, H, W].
    """
    probabilities = teacher(batch)
    mask = jnp.argmax(probabilities, axis=-1).astype(jnp.int32)
    said = {"mask": mask}
    if config.teacher.labels == "soft":
        said["probabilities"] = probabilities
    if consensus_term.needs(config):
        said["blobs"] = largest_blobs(mask, config.data.blobs, min_pixels=config.data.blob_pixels)
    return {**batch, **said}


def _terms(
    network: FaceOccNet, config: ConfigDict, variables: PyTree, state: TrainState, batch: Batch, axis: Axis
) -> tuple[dict[str, jax.Array], PyTree]:
    """Return the unweighted terms by the names of their weights, and the new batch statistics."""
    rngs = {dropout.RNG: step_rng(state, config.stage)}
    logits, updated = network.apply(variables, batch["image"], train=True, rngs=rngs, mutable=["batch_stats"])
    loss, arrays = config.loss, (logits, batch["mask"], batch["weight"], axis.psum)
    terms = {}
    if "probabilities" in batch:
        if loss.divergence:
            target = batch["probabilities"]
            terms["divergence"] = distillation.divergence(logits, target, batch["weight"], axis.psum)
    elif loss.cross_entropy:
        terms["cross_entropy"] = segmentation.cross_entropy(*arrays)
    if loss.dice:
        terms["dice"] = segmentation.dice(*arrays)
    if loss.consensus.weight:
        terms["consensus"] = consensus_term.term(config, logits, batch, axis)
    require(
        terms,
        f"with stage={config.stage} no weight of config.loss that counts is above 0: set loss.dice or "
        "loss.consensus.weight, or loss.cross_entropy for masks and hard labels, loss.divergence for soft ones",
    )
    return terms, updated


def _predict(
    network: FaceOccNet, variables: PyTree, image: jax.Array, landmarks: jax.Array | None = None
) -> Prediction:
    del landmarks  # this method does not align faces
    return Prediction(network.apply(variables["network"], image, train=False))
