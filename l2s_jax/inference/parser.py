"""`Parser`: predict the class of every pixel of an image.

from l2s_jax import Parser
parsing = Parser.load("runs/demo")("photo.jpg")
parsing.areas()["hair"], parsing.mask("hair"), parsing.palette_image().save("labels.png")
"""

import dataclasses
import itertools
import numbers
import os
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from input_pipeline.types import Example
from l2s_jax.inference import processing
from l2s_jax.inference.model import Model, load_model
from l2s_jax.inference.pictures import Picture, read
from l2s_jax.report import overlays
from l2s_jax.types import Predict


@dataclasses.dataclass(frozen=True)
class Parsing:
    """The predicted classes of one image, at its original size.

    Attributes:
      ids: uint8 [H, W], class ids of `label_set`.
      confidence: float32 [H, W], probability of the chosen class, 0..1.
      label_set: the classes of the ids.
    """

    ids: np.ndarray
    confidence: np.ndarray
    label_set: LabelSet

    def areas(self) -> dict[str, float]:
        """Return the fraction of pixels in each class; they sum to 1."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.label_set))
        return {name: float(counts[i] / self.ids.size) for i, name in enumerate(self.label_set.names)}

    def confidences(self) -> dict[str, float | None]:
        """Return the mean confidence over the pixels of each class; None for a class without pixels."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.label_set))
        sums = np.bincount(self.ids.ravel(), self.confidence.ravel(), minlength=len(self.label_set))
        return {n: float(sums[i] / counts[i]) if counts[i] else None for i, n in enumerate(self.label_set.names)}

    def mask(self, name: str) -> np.ndarray:
        """Return the mask of the class `name`, bool [H, W]; for an unknown name a KeyError suggests the nearest one."""
        return self.ids == self.label_set[name]

    def palette_image(self) -> Image.Image:
        """Return a palette image (mode P): pixel values are class ids, the palette is the label set's."""
        picture = Image.fromarray(self.ids)
        picture.putpalette(self.label_set.palette.tobytes())
        return picture

    def overlay(self, image: Picture) -> Image.Image:
        """Draw the image with its classes tinted and outlined; the background keeps its own colours.

        Raises:
          UserError: the image has another size.
        """
        pixels = read(image)
        if pixels.shape[:2] != self.ids.shape:
            raise UserError(f"the parsing is {self.ids.shape} and the picture {pixels.shape[:2]}: not the same photo")
        return Image.fromarray(overlays.overlay(pixels, self.ids, self.label_set))


def _segmenter(model: Model, by: str) -> Predict:
    """Return the way of segmenting called `by`; the model's others are named if there is none."""
    ways = model.system.segmenters
    if by not in ways:
        there = f"it has: {', '.join(ways)}" if ways else "it has one way only"
        raise UserError(f"'{model.path}' does not segment by '{by}': {there}")
    return ways[by]


class Parser:
    """A face parser: predicts the class id of every pixel of any image.

    `parser.predict(parser.variables, image)` is the underlying pure function: float32 [B, S, S, 3] in [-1, 1] ->
    `Prediction`, with S = `parser.image_size`.

    Args:
      model: a model of any system.
      clean: connected components with fewer pixels than this, at the image's original size, take the class that
        surrounds them (`input_pipeline.images.components`); 0 = off.
      by: the way of segmenting, of `System.segmenters` ("decodes" and the faster "light" for Latents2Segments); "" =
        the system's own choice.

    Raises:
      UserError: the model does not segment, `clean` is negative or not an integer, or the model has no such way.
    """

    def __init__(self, model: Model, clean: int = 0, by: str = ""):
        if model.system.predict is None:
            raise UserError(f"'{model.path}' is a model of '{model.system.name}', which does not segment faces")
        if not isinstance(clean, numbers.Integral) or isinstance(clean, bool) or clean < 0:
            raise UserError(f"clean={clean!r} must be a whole number of pixels, 0 or more")
        self.model = model
        self.clean = int(clean)
        self.variables = model.variables
        self.predict = _segmenter(model, by) if by else model.system.predict
        self.label_set = model.system.label_set
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self._probabilities = jax.jit(
            lambda variables, image, landmarks: self.predict(variables, image, landmarks).probabilities
        )

    @classmethod
    def load(cls, where: str | os.PathLike, clean: int = 0, by: str = "") -> "Parser":
        """Load a model, see `load_model`."""
        return cls(load_model(where), clean, by)

    def __call__(self, image: Picture, landmarks: np.ndarray | None = None) -> Parsing:
        """Parse one image.

        Args:
          image: uint8 [H, W, 3], a PIL image or a path, any size.
          landmarks: [K, 2] (x, y) pixels of the image, pixel centres at .5, a scheme of `input_pipeline.landmarks`.
            A model trained on faces aligned by landmarks (SegFace's LaPa weights) is at its best only with them;
            without them it parses the image unaligned. All other models ignore them.

        Raises:
          UserError: an unreadable file, an array of another dtype or shape, or landmarks of an unknown scheme.
        """
        return next(self.batch([image], 1, None if landmarks is None else [landmarks]))

    def batch(
        self, images: Iterable[Picture], batch_size: int = 8, landmarks: Iterable[np.ndarray] | None = None
    ) -> Iterator[Parsing]:
        """Parse many images, in order. One compiled program serves all batches: the last one is padded.

        Args:
          images: as for `__call__`.
          batch_size: images a batch.
          landmarks: landmarks of each image, all of one scheme, or None.

        Raises:
          UserError: as `__call__`; also if images and landmarks differ in number.
        """
        faces = _faces(images, landmarks)
        while chunk := list(itertools.islice(faces, batch_size)):
            squares = [processing.to_square(face, self.image_size, self.resize) for face in chunk]
            batch = _stacked(squares, batch_size)
            found = np.asarray(self._probabilities(self.variables, batch["image"], batch.get("landmarks")))
            for face, probabilities in zip(chunk, found, strict=False):  # the rest is padding
                yield self._decided(probabilities, *face["image"].shape[:2])

    def _decided(self, probabilities: np.ndarray, height: int, width: int) -> Parsing:
        """Return the parsing of a [height, width] image from the probabilities [S, S, K] of its square."""
        ids, confidence = processing.upsample_argmax(probabilities, height, width, self.resize)
        if self.clean:
            ids, confidence = processing.remove_small_components(
                ids, confidence, probabilities, self.clean, self.resize
            )
        return Parsing(ids, confidence, self.label_set)


def _faces(images: Iterable[Picture], landmarks: Iterable[np.ndarray] | None) -> Iterator[Example]:
    """Yield the images with their landmarks, if any."""
    if landmarks is None:
        yield from ({"image": read(image)} for image in images)
        return
    nothing = object()
    for image, points in itertools.zip_longest(images, landmarks, fillvalue=nothing):
        if image is nothing or points is nothing:
            raise UserError("there are more pictures than landmarks, or the reverse: give each picture its own")
        yield {"image": read(image), "landmarks": points}


def _stacked(squares: Sequence[Example], batch_size: int) -> dict[str, np.ndarray]:
    """Stack squares into arrays [batch_size, ...], padded with 0."""
    batch = {}
    for key in squares[0]:
        shapes = {square[key].shape for square in squares}
        if len(shapes) > 1:
            counts = " and ".join(str(shape[0]) for shape in sorted(shapes))
            raise UserError(f"pictures of one batch come with {counts} landmarks: parse them in separate calls")
        batch[key] = np.zeros((batch_size, *shapes.pop()), np.float32)
        batch[key][: len(squares)] = [square[key] for square in squares]
    return batch
