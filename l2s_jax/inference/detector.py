"""`Detector`: where a picture may show faces, found by the detector that comes with the package."""

import functools
import itertools
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from l2s_jax import bundle
from l2s_jax.inference import closeup, processing
from l2s_jax.inference.closeup import Square
from l2s_jax.inference.model import Model, load_model

SIDE = 384
"""Side of the square in which it looks at a whole picture, pixels; it was trained on smaller ones."""
SURE = 0.45
"""Score from which a place is looked at closely: chosen on scenes of faces that choose the checkpoint."""


class Detector:
    """A detector of faces. Threads may share one.

    Args:
      model: of a system that detects.

    Attributes:
      meta: its description.
    """

    def __init__(self, model: Model):
        self.meta = model.meta
        self._variables, self._rule = model.variables, model.meta.preprocessing.rule
        self._forward = jax.jit(model.system.detect)

    def __call__(self, images: Iterable[np.ndarray], batch_size: int) -> Iterator[list[Square]]:
        """Yield the squares around the faces of every picture uint8 [H, W, 3], the largest first.

        One compiled program serves all pictures: they are made square, and the last batch is padded.
        """
        images = iter(images)
        while chunk := list(itertools.islice(images, batch_size)):
            batch = np.zeros((batch_size, SIDE, SIDE, 3), np.float32)
            batch[: len(chunk)] = [processing.to_square({"image": each}, SIDE, self._rule)["image"] for each in chunk]
            found = jax.device_get(self._forward(self._variables, batch))
            for image, *rows in zip(chunk, found.score, found.middle, found.side, strict=False):  # the rest is padding
                yield self._squares(image.shape[:2], *rows)

    def _squares(self, shape: tuple[int, int], score: np.ndarray, middle: np.ndarray, side: np.ndarray) -> list[Square]:
        box = self._rule.box(*shape, SIDE)
        corner = np.array([box.left, box.top])
        scale = np.array(shape)[::-1] / np.array([box.right - box.left, box.bottom - box.top])
        sure = score >= SURE
        middles, sides = (middle[sure] - corner) * scale, side[sure] * scale.mean()
        return closeup.distinct([closeup.around(*each) for each in zip(middles, sides, strict=True)])


@functools.cache
def shipped() -> Detector:
    """Return the detector that comes with the package, loaded once."""
    return Detector(load_model(bundle.FACE_DETECTOR))
