"""The other model that stage 1 learns from: a bundle of any system, opened when training asks for it.

A student's config names its teacher for ever, but a student that has learned needs it no more: nothing here is read
before a step is traced or its frozen arguments are asked for.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.systems.contract import Batch, Predict, PyTree


class _Opened(NamedTuple):
    """A teacher: how it predicts, the side of its images, and which of the student's classes each of its own is."""

    variables: PyTree
    predict: Predict
    image_size: int
    classes: np.ndarray


class Teacher:
    """What a trained model says of a batch, in the student's classes.

    Args:
      where: `config.teacher.model`.
      label_set: of the student.
    """

    def __init__(self, where: str, label_set: LabelSet):
        self._where, self._label_set = where, label_set

    def variables(self) -> PyTree:
        """Its weights, numpy.

        Raises:
          UserError: no such model, a damaged one, or one whose classes cannot be mapped to the student's.
        """
        return self._opened.variables

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
        scale = self._opened.image_size / np.array(image.shape[2:0:-1], np.float32)
        if landmarks is not None:
            landmarks = landmarks * scale[None, None]
        seen = _resized(image, (self._opened.image_size,) * 2)
        own = _resized(self._opened.predict(variables, seen, landmarks).probabilities, image.shape[1:3])
        mapping = np.eye(len(self._label_set), dtype=np.float32)[self._opened.classes]
        return jax.lax.stop_gradient(jnp.matmul(own, mapping, precision="highest"))

    @functools.cached_property
    def _opened(self) -> _Opened:
        if not self._where:
            raise UserError("stage=teacher needs a model to learn from: set teacher.model=NAME|PATH|WORKDIR")
        trained = bundle.load(bundle.resolve(self._where))
        config = configs.completed(configs.from_json(dict(trained.meta.config)))
        system = systems.build(config)
        expected = jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0))))
        classes = labels.remap(system.label_set, self._label_set)[: len(system.label_set)]
        return _Opened(bundle.fit(trained, expected), system.predict, config.image_size, classes)


def _resized(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """[B, H, W, C] at another size, bilinear, without aliasing; probabilities go on summing to 1."""
    return x if x.shape[1:3] == size else jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "linear")
