"""`Parser`: predict the class of every pixel of an image.

from l2s_jax import Parser
parsing = Parser()("photo.jpg")
parsing.areas()["hair"], parsing.region("eyes"), parsing.palette_image().save("labels.png")
"""

import functools
import itertools
import numbers
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import jax
import numpy as np

from input_pipeline import labels, licences
from input_pipeline.errors import UserError, require
from input_pipeline.types import Example
from l2s_jax import bundle
from l2s_jax.inference import closeup, detector, familiar, processing
from l2s_jax.inference.closeup import Square
from l2s_jax.inference.finding import STRETCH, Finder, Follower, Found
from l2s_jax.inference.model import Model, load_model
from l2s_jax.inference.parsing import Parsing
from l2s_jax.inference.pictures import Picture, are_several, read
from l2s_jax.inference.smoothing import steady
from l2s_jax.types import Predict

CROPS = ("auto", "none")

BATCH = 8
"""Images at a time, at most, unless the caller says otherwise."""

SMOOTHING = 0.7
"""Weight of the frame before in a film, unless the caller says otherwise (`experiments/film_smoothing.py`)."""


def _segmenter(model: Model, by: str) -> Predict:
    """Return the way of segmenting called `by`; the model's others are named if there is none."""
    ways = model.system.segmenters
    if by not in ways:
        there = f"it has: {', '.join(ways)}" if ways else "it has one way only"
        raise UserError(f"'{model.path}' does not segment by '{by}': {there}")
    return ways[by]


class Parser:
    """A face parser: predicts the class id of every pixel of any image. Threads may share one.

    `parser.predict(parser.variables, image)` is the underlying pure function: float32 [B, S, S, 3] in [-1, 1] ->
    `Prediction`, with S = `parser.image_size`.

    Args:
      model: a model of any system, or where one is (`load_model`); None for the one that comes with the package.
      clean: connected components with fewer pixels than this, at the image's original size, take the class that
        surrounds them (`input_pipeline.images.components`); 0 = off.
      by: the way of segmenting, of `System.segmenters` ("decodes" and the faster "light" for Latents2Segments); "" =
        the system's own choice.
      label_set: name of the label set of the results, whose classes take the sum of the model's probabilities
        (`input_pipeline.labels.remap`); "" = the model's own.
      crop: "auto" looks closer at faces that do not fill the picture (`closeup`), all else of which is then background;
        "none" parses every picture as a whole.

    Raises:
      UserError: no such model, or it does not segment, `clean` is negative or not an integer, the model has no such
        way, its classes have no counterpart in the label set, or `crop` is another word.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike | None = None,
        clean: int = 0,
        by: str = "",
        label_set: str = "",
        crop: str = "auto",
    ):
        if not isinstance(model, Model):
            model = load_model(bundle.DEFAULT_PARSER if model is None else model)
        if model.system.predict is None:
            raise UserError(f"'{model.path}' is a model of '{model.system.name}', which does not segment faces")
        fits = isinstance(clean, numbers.Integral) and not isinstance(clean, bool) and clean >= 0
        require(fits, f"clean={clean!r} must be a whole number of pixels, 0 or more")
        require(crop in CROPS, f"crop='{crop}' is not one of {', '.join(CROPS)}")
        self.model = model
        self.clean = int(clean)
        self.crop = crop
        self.variables = model.variables
        self.predict = _segmenter(model, by) if by else model.system.predict
        own = model.system.label_set
        self.label_set = labels.get(label_set) if label_set else own
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self.familiar = familiar.from_json(model.meta.familiar, model.path)
        self._merging = np.eye(len(self.label_set), dtype=np.float32)[labels.remap(own, self.label_set)[: len(own)]]
        self._forward = jax.jit(
            lambda variables, image, landmarks: self.predict(variables, image, landmarks).probabilities
        )

    @classmethod
    def load(
        cls, where: str | os.PathLike, clean: int = 0, by: str = "", label_set: str = "", crop: str = "auto"
    ) -> "Parser":
        """Load a model, see `load_model`."""
        return cls(where, clean, by, label_set, crop)

    @overload
    def __call__(self, image: Picture, landmarks: np.ndarray | None = None) -> Parsing: ...

    @overload
    def __call__(self, image: Sequence[Picture], landmarks: Iterable[np.ndarray] | None = None) -> list[Parsing]: ...

    def __call__(self, image, landmarks=None):
        """Parse one image, or several.

        Args:
          image: uint8 [H, W, 3] of numpy or JAX, a PIL image or a path, any size; or a list of these, or an array
            [B, H, W, 3].
          landmarks: [K, 2] (x, y) pixels of the image, pixel centres at .5, a scheme of `input_pipeline.landmarks`;
            of several images those of each. A model trained on faces aligned by landmarks (SegFace's LaPa weights) is
            at its best only with them; without them it parses the image unaligned. All other models ignore them.

        Returns:
          one parsing for one image, a list for several. `batch` makes them one by one, for more than memory holds.

        Raises:
          UserError: an unreadable file, an array of another dtype or shape, or landmarks of an unknown scheme.
        """
        if are_several(image):
            return list(self.batch(image, min(BATCH, len(image)), landmarks))
        return next(self.batch([image], 1, None if landmarks is None else [landmarks]))

    def batch(
        self, images: Iterable[Picture], batch_size: int = BATCH, landmarks: Iterable[np.ndarray] | None = None
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
        if self.crop == "none" or landmarks is not None:
            for image, _, whole in self._predicted(faces, batch_size):
                yield self._decided(image, Found(None, [], whole))
            return
        finder = self._finder(batch_size)
        while chunk := [face["image"] for face in itertools.islice(faces, batch_size)]:
            for image, found in zip(chunk, finder.faces(chunk), strict=True):
                yield self._decided(image, found)

    def film(
        self, frames: Iterable[Picture], batch_size: int = BATCH, smoothing: float = SMOOTHING
    ) -> Iterator[Parsing]:
        """Parse the frames of a film in order, and hold the classes steady where the picture is (`smoothing.steady`).

        Faces that do not fill the picture are looked for and followed (`finding.Follower`), and cut where they were
        before as long as they stay there, so that what is seen of them holds still, too.

        Args:
          frames: as the images of `batch`.
          batch_size: frames a batch.
          smoothing: weight of the frame before, in [0, 1); 0 parses each frame by itself.

        Raises:
          UserError: as `__call__`.
        """
        follower = Follower(self._finder(batch_size)) if self.crop == "auto" else None
        pictures = (face["image"] for face in _faces(frames, None))
        before: dict[Square | None, tuple[np.ndarray, np.ndarray]] = {}
        while chunk := list(itertools.islice(pictures, STRETCH)):
            faces = follower.begin(chunk[0]) if follower else None
            cuts = (follower.cuts if follower else []) or [None]
            views = (image if cut is None else closeup.cut(image, cut) for image in chunk for cut in cuts)
            predicted = self._predicted(({"image": view} for view in views), batch_size)
            for image in chunk:
                seen = {}
                for cut, (_, square, probabilities) in zip(cuts, predicted, strict=False):
                    if cut in before:
                        probabilities = steady(probabilities, square, before[cut], smoothing)
                    seen[cut] = probabilities, square
                before = seen
                parts = [(cut, probabilities) for cut, (probabilities, _) in seen.items() if cut is not None]
                whole = seen[None][0] if None in seen else None
                yield self._decided(image, Found(faces, parts, whole))
            if follower:
                follower.end([probabilities for probabilities, _ in seen.values()])

    def _finder(self, batch_size: int) -> Finder:
        detect, look = (functools.partial(ask, batch_size=batch_size) for ask in (detector.shipped(), self._looks))
        return Finder(detect, look, self.resize, self.label_set)

    def _looks(self, pictures: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
        """Yield the probabilities [S, S, K] of every picture, in order, as they are asked for."""
        predicted = self._predicted(({"image": picture} for picture in pictures), batch_size)
        return (probabilities for _, _, probabilities in predicted)

    def _predicted(
        self, faces: Iterator[Example], batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield for each face its image [H, W, 3], its square [S, S, 3] and the probabilities [S, S, K]."""
        while chunk := list(itertools.islice(faces, batch_size)):
            squares = [processing.to_square(face, self.image_size, self.resize) for face in chunk]
            batch = _stacked(squares, batch_size)
            found = self.probabilities(batch["image"], batch.get("landmarks"))
            for face, square, probabilities in zip(chunk, squares, found, strict=False):  # the rest is padding
                yield face["image"], square["image"], probabilities

    def probabilities(self, image: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
        """Return the class probabilities of a batch: float32 [B, S, S, 3] in [-1, 1] -> float32 [B, S, S, K] of
        `label_set`."""
        found = np.asarray(self._forward(self.variables, image, landmarks))
        return found if self.label_set == self.model.system.label_set else found @ self._merging

    @property
    def licence(self) -> str:
        """Return the strictest licence of the weights in use: those of the model, and of the detector unless
        `crop="none"`."""
        finding = [detector.shipped().meta.licence] if self.crop == "auto" else []
        return licences.strictest([self.model.meta.licence, *finding])

    def compile(self, batch_size: int) -> None:
        """Compile the programs of a batch size now, instead of when the first batch comes."""
        self.probabilities(np.zeros((batch_size, self.image_size, self.image_size, 3), np.float32))
        if self.crop == "auto":
            list(self._finder(batch_size).detect([np.zeros((1, 1, 3), np.uint8)]))

    def _decided(self, image: np.ndarray, found: Found) -> Parsing:
        """Return the parsing of an image from the probabilities of its parts or, without any, of the whole."""
        if found.parts:
            pieces = [(face, processing.Planes(look, face.side, face.side, self.resize)) for face, look in found.parts]
            planes = closeup.Mosaic(pieces, image.shape[:2])
        else:
            planes = processing.Planes(found.whole, *image.shape[:2], self.resize)
        ids, confidence = processing.decide(planes)
        if self.clean:
            ids, confidence = processing.remove_small_components(ids, confidence, planes, self.clean)
        faces = None if found.faces is None else tuple(found.faces)
        return Parsing(ids, confidence, self.label_set, image, planes, faces, 90 * found.quarters, self.familiar)


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
