"""`Parser`: the masks of pictures.

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


@dataclasses.dataclass(frozen=True)
class Parsing:
    """The classes of one picture, at its own size.

    Attributes:
      ids: uint8 [H, W], class ids of `label_set`.
      confidence: float32 [H, W], probability of the chosen class, 0..1.
      label_set: what the ids mean.
    """

    ids: np.ndarray
    confidence: np.ndarray
    label_set: LabelSet

    def areas(self) -> dict[str, float]:
        """Fraction of the pixels in each class; they sum to 1."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.label_set))
        return {name: float(counts[i] / self.ids.size) for i, name in enumerate(self.label_set.names)}

    def confidences(self) -> dict[str, float | None]:
        """Mean confidence over the pixels of each class; None for a class without pixels."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.label_set))
        sums = np.bincount(self.ids.ravel(), self.confidence.ravel(), minlength=len(self.label_set))
        return {n: float(sums[i] / counts[i]) if counts[i] else None for i, n in enumerate(self.label_set.names)}

    def mask(self, name: str) -> np.ndarray:
        """bool [H, W], where the class `name` is; a KeyError names the nearest class."""
        return self.ids == self.label_set[name]

    def palette_image(self) -> Image.Image:
        """Palette image (mode P) whose pixel values are the class ids and whose palette is the label set's."""
        picture = Image.fromarray(self.ids)
        picture.putpalette(self.label_set.palette.tobytes())
        return picture

    def overlay(self, image: Picture) -> Image.Image:
        """The picture with its classes tinted and outlined; the background keeps its own colours.

        Raises:
          UserError: a picture of another size.
        """
        pixels = read(image)
        if pixels.shape[:2] != self.ids.shape:
            raise UserError(f"the parsing is {self.ids.shape} and the picture {pixels.shape[:2]}: not the same photo")
        return Image.fromarray(overlays.overlay(pixels, self.ids, self.label_set))


class Parser:
    """Class ids of every pixel of any picture.

    `parser.predict(parser.variables, image)` is the pure function under it: float32 [B, S, S, 3] in [-1, 1] ->
    `Prediction`, with S = `parser.image_size`.

    Args:
      model: of any system.
      clean: connected pieces of fewer pixels than this, at the picture's own size, take the class of what surrounds
        them (`input_pipeline.images.islands`); 0 = none do.

    Raises:
      UserError: `clean` is below 0 or not a whole number.
    """

    def __init__(self, model: Model, clean: int = 0):
        if not isinstance(clean, numbers.Integral) or isinstance(clean, bool) or clean < 0:
            raise UserError(f"clean={clean!r} must be a whole number of pixels, 0 or more")
        self.model = model
        self.clean = int(clean)
        self.variables = model.variables
        self.predict = model.system.predict
        self.label_set = model.system.label_set
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self._probabilities = jax.jit(
            lambda variables, image, landmarks: model.system.predict(variables, image, landmarks).probabilities
        )

    @classmethod
    def load(cls, where: str | os.PathLike, clean: int = 0) -> "Parser":
        """See `load_model`."""
        return cls(load_model(where), clean)

    def __call__(self, image: Picture, landmarks: np.ndarray | None = None) -> Parsing:
        """Parse one picture.

        Args:
          image: uint8 [H, W, 3], a PIL image or a path, any size.
          landmarks: [K, 2] (x, y) pixels of the picture, pixel centres at .5, a scheme of `input_pipeline.landmarks`.
            A model that was trained on faces aligned by them (SegFace's LaPa weights) needs them to be at its best;
            without, it parses the picture as it is. All other models leave them alone.

        Raises:
          UserError: an unreadable file, an array of another kind, or landmarks of a scheme that is not known.
        """
        return next(self.batch([image], 1, None if landmarks is None else [landmarks]))

    def batch(
        self, images: Iterable[Picture], batch_size: int = 8, landmarks: Iterable[np.ndarray] | None = None
    ) -> Iterator[Parsing]:
        """Parse many pictures, in order. One compiled program serves all: the last batch is padded.

        Args:
          images: as for `__call__`.
          batch_size: pictures at a time.
          landmarks: those of each picture, all of one scheme, or None.

        Raises:
          UserError: as `__call__`, and landmarks of another number than the pictures.
        """
        faces = _faces(images, landmarks)
        while chunk := list(itertools.islice(faces, batch_size)):
            squares = [processing.to_square(face, self.image_size, self.resize) for face in chunk]
            batch = _stacked(squares, batch_size)
            found = np.asarray(self._probabilities(self.variables, batch["image"], batch.get("landmarks")))
            for face, probabilities in zip(chunk, found, strict=False):  # the rest is padding
                yield self._decided(probabilities, *face["image"].shape[:2])

    def _decided(self, probabilities: np.ndarray, height: int, width: int) -> Parsing:
        """The parsing of a [height, width] picture, of the probabilities [S, S, K] of its square."""
        ids, confidence = processing.decide(probabilities, height, width, self.resize)
        if self.clean:
            ids, confidence = processing.clean(ids, confidence, probabilities, self.clean, self.resize)
        return Parsing(ids, confidence, self.label_set)


def _faces(images: Iterable[Picture], landmarks: Iterable[np.ndarray] | None) -> Iterator[Example]:
    """Pictures with their landmarks, where there are any."""
    if landmarks is None:
        yield from ({"image": read(image)} for image in images)
        return
    nothing = object()
    for image, points in itertools.zip_longest(images, landmarks, fillvalue=nothing):
        if image is nothing or points is nothing:
            raise UserError("there are more pictures than landmarks, or the reverse: give each picture its own")
        yield {"image": read(image), "landmarks": points}


def _stacked(squares: Sequence[Example], batch_size: int) -> dict[str, np.ndarray]:
    """Rows as arrays [batch_size, ...], the missing ones 0."""
    batch = {}
    for key in squares[0]:
        shapes = {square[key].shape for square in squares}
        if len(shapes) > 1:
            counts = " and ".join(str(shape[0]) for shape in sorted(shapes))
            raise UserError(f"pictures of one batch come with {counts} landmarks: parse them in separate calls")
        batch[key] = np.zeros((batch_size, *shapes.pop()), np.float32)
        batch[key][: len(squares)] = [square[key] for square in squares]
    return batch
