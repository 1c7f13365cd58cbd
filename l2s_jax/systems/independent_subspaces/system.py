"""Independent Subspaces (Awiszus, Ackermann and Rosenhahn, ICCVW 2019, arXiv 1908.08989), in the spirit of the paper.

An autoencoder whose code has one subspace for each part of the face, decoded by itself to colours and a mask, with a
loss that makes the subspaces independent. No code was published: networks and weights are ours. The generative half is
that of Latents2Segments (`systems.sliced`); what is different here: the parts, a size for each subspace, the
independence loss, and masks from another model where there are none.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.labels import IGNORE
from l2s_jax.systems.sliced import autoencoder, networks
from l2s_jax.systems.sliced.initial import with_model
from l2s_jax.systems.sliced.networks import Networks
from l2s_jax.systems.teacher import Teacher, frozen_teacher
from l2s_jax.types import Axis, Batch, Metrics, System, TrainState


def build(config: ConfigDict) -> System:
    """Build the system of one config. The teacher is not opened until the steps need it.

    Raises:
      UserError: the config is inconsistent.
    """
    built = build_networks(config)
    shared, where, source = autoencoder.functions(config, built), config.teacher.model, config.model.init_from
    frozen = None
    if where:
        shared["steps"] = {name: functools.partial(_learn_from, step) for name, step in shared["steps"].items()}
        shared["needs"] = tuple(name for name in shared["needs"] if name != "mask")
        frozen = functools.partial(frozen_teacher, where, built.label_set)
    segmenters = autoencoder.segmenters(built)
    return System(
        name="independent_subspaces",
        predict=segmenters["decodes"],
        segmenters=segmenters,
        frozen=frozen,
        init_from=functools.partial(with_model, config, "subspaces") if source else None,
        learns_from=tuple(filter(None, (source, where))),
        **shared,
    )


def build_networks(config: ConfigDict) -> Networks:
    """Build the networks of a config.

    Raises:
      UserError: sizes and label set are inconsistent.
    """
    label_set, sizes = labels.get(config.label_set), tuple(config.model.subspaces)
    require(
        len(sizes) == len(label_set),
        f"model.subspaces has {len(sizes)} entries, but label set '{label_set.name}' has {len(label_set)} parts "
        f"({', '.join(label_set.names)}); give one size for each",
    )
    require(
        not config.loss.first_half, "loss.first_half=true is of the published Latents2Segments alone: set it to false"
    )
    require(
        not (config.teacher.model and config.loss.consensus.weight and config.loss.consensus.blobs == "components"),
        "loss.consensus.blobs=components needs masks, and teacher.model gives some only in the step: set "
        "loss.consensus.blobs=classes",
    )
    classes = tuple(range(len(label_set)))
    return Networks(**networks.modules(config, sizes), **networks.common(config, label_set, classes))


def _learn_from(
    step: Callable, state: TrainState, batch: Batch, axis: Axis, teacher: Teacher
) -> tuple[TrainState, Metrics]:
    return step(state, taught(teacher, batch), axis)


def taught(teacher: Teacher, batch: Batch) -> Batch:
    """Give the images without labels (255 everywhere, or no `mask` at all) the teacher's most probable classes."""
    said = jnp.argmax(teacher(batch), axis=-1).astype(jnp.int32)
    if "mask" in batch:
        unlabelled = jnp.all(batch["mask"] == IGNORE, axis=(1, 2), keepdims=True)
        said = jnp.where(unlabelled, jax.lax.stop_gradient(said), batch["mask"])
    return {**batch, "mask": said}
