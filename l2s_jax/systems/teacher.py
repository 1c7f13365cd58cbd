"""A teacher that a system learns from: a trained model of any system, opened when training needs it.

A trained student's config still names its teacher, but the student can be used without it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.labels import LabelSet
from l2s_jax.types import Batch, OpenModel, PyTree, TrainedModel

Teacher = Callable[[Batch], jax.Array]
"""Batch (`image` [B, H, W, 3] and, if present, `landmarks`) -> probabilities of the student's classes, float32
[B, H, W, K], without gradient. A pytree whose leaves are the teacher's weights."""


def open_teacher(open_model: OpenModel, where: str, label_set: LabelSet) -> Teacher:
    """Open a trained model as a teacher.

    Images are resized to the teacher's training size and its probabilities back to the size of the batch. If several of
    its classes map to one of the student's, their probabilities are added.

    Args:
      open_model: function that opens trained models.
      where: `config.teacher.model`.
      label_set: label set of the student.

    Raises:
      UserError: no such model, a damaged one, or one whose classes cannot be mapped to the student's.
    """
    require(where, "stage=teacher needs a model to learn from: set teacher.model=NAME|PATH|WORKDIR")
    model = open_model(where)
    require(
        model.system.predict, f"teacher.model='{where}' is a model of '{model.system.name}', which does not segment"
    )
    classes = labels.remap(model.system.label_set, label_set)[: len(model.system.label_set)]
    mapping = np.eye(len(label_set), dtype=np.float32)[classes]

    def teach(variables: PyTree, batch: Batch) -> jax.Array:
        return _probabilities(model, mapping, variables, batch)

    return jax.tree_util.Partial(teach, model.variables)


def frozen_teacher(where: str, label_set: LabelSet, open_model: OpenModel) -> dict[str, Teacher]:
    """Return the argument `teacher` of the steps that learn from one: with the first two bound, `System.frozen`."""
    return {"teacher": open_teacher(open_model, where, label_set)}


def _probabilities(model: TrainedModel, mapping: np.ndarray, variables: PyTree, batch: Batch) -> jax.Array:
    image, landmarks, side = batch["image"], batch.get("landmarks"), model.config.image_size
    if landmarks is not None:
        landmarks = landmarks * (side / np.array(image.shape[2:0:-1], np.float32))[None, None]
    prediction = model.system.predict(variables, _resized(image, (side, side)), landmarks)
    own = _resized(prediction.probabilities, image.shape[1:3])
    return jax.lax.stop_gradient(jnp.matmul(own, mapping, precision="highest"))


def _resized(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resize [B, H, W, C] bilinearly with antialiasing; probabilities still sum to 1."""
    return x if x.shape[1:3] == size else jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "linear")
