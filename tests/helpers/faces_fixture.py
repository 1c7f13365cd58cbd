"""Procedural faces as the fixtures of raw layouts need them: in the label set of a data set, encoded."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.labels import CELEBAMASK, LabelSet, remap
from input_pipeline.synthetic import render


class Face(NamedTuple):
    """A face of a fixture.

    Attributes:
      image: uint8 [size, size, 3].
      mask: uint8 [size, size], ids of the label set it was asked for.
      landmarks: float32 [68, 2].
    """

    image: np.ndarray
    mask: np.ndarray
    landmarks: np.ndarray

    def jpeg(self) -> bytes:
        """The photo as a JPEG file."""
        file = io.BytesIO()
        Image.fromarray(self.image).save(file, "JPEG")
        return file.getvalue()


def face(index: int, label_set: LabelSet, size: int = 48) -> Face:
    """Face `index` of one stream; parts that `label_set` only knows without their side are joined."""
    drawn = render(5, index, size)
    return Face(drawn["image"], remap(CELEBAMASK, label_set)[drawn["mask"]], drawn["landmarks"])
