"""The other model that stage 1 learns from: a bundle of any system, opened when training asks for it.

A student's config names its teacher for ever, but a student that has learned needs it no more: nothing here is read
before a step is traced or its frozen arguments are asked for.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from l2s_jax.systems.contract import Batch, PyTree
from l2s_jax.trained import Model


class Teacher:
    """What a trained model says of a batch, in the student's classes.

    Args:
      where: `config.teacher.model`.
      label_set: of the student.
    """

    def __init__(self, where: str, label_set: LabelSet):
        self._where, self._label_set = where, label_set

    def variables(self) -> PyTree:
        """Its weights.

        Raises:
          UserError: no such model, a damaged one, or one whose classes cannot be mapped to the student's.
        """
        return self._model.variables

    def probabilities(self, variables: PyTree, batch: Batch) -> jax.Array:
        """The student's classes as the teacher sees them: it adds up the probabilities of its own.

        The teacher sees the batch at the size it was trained at; its probabilities come back to the batch's pixels.

        Args:
          variables: from `variables()`, on the devices.
          batch: `image` [B, H, W, 3] and, where there are some, `landmarks`.

        Returns:
          float32 [B, H, W, K], without a gradient.
        """
        image, landmarks = batch["image"], batch.get("landmarks")
        model, side = self._model, self._model.config.image_size
        scale = side / np.array(image.shape[2:0:-1], np.float32)
        if landmarks is not None:
            landmarks = landmarks * scale[None, None]
        said = model.system.predict(variables, _resized(image, (side, side)), landmarks)
        own = _resized(said.probabilities, image.shape[1:3])
        classes = labels.remap(model.system.label_set, self._label_set)[: own.shape[-1]]
        mapping = np.eye(len(self._label_set), dtype=np.float32)[classes]
        return jax.lax.stop_gradient(jnp.matmul(own, mapping, precision="highest"))

    @functools.cached_property
    def _model(self) -> Model:
        if not self._where:
            raise UserError("stage=teacher needs a model to learn from: set teacher.model=NAME|PATH|WORKDIR")
        model = Model.load(self._where)
        labels.remap(model.system.label_set, self._label_set)  # before anything is trained
        return model


def _resized(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """[B, H, W, C] at another size, bilinear, without aliasing; probabilities go on summing to 1."""
    return x if x.shape[1:3] == size else jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "linear")
