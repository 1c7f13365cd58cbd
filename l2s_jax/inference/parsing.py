"""`Parsing`: the predicted classes of one image, as masks, probabilities, pictures and annotations."""

import dataclasses
import functools

import numpy as np
from PIL import Image

from input_pipeline.errors import require
from input_pipeline.labels import LabelSet
from l2s_jax.inference import annotations
from l2s_jax.inference.closeup import Square
from l2s_jax.inference.familiar import Familiar
from l2s_jax.inference.pictures import Picture, read
from l2s_jax.inference.processing import Planes
from l2s_jax.report import overlays


@dataclasses.dataclass(frozen=True)
class Parsing:
    """The predicted classes of one image, at its original size.

    Attributes:
      ids: uint8 [H, W], class ids of `label_set`.
      confidence: float32 [H, W], probability of the chosen class, 0..1.
      label_set: the classes of the ids.
      image: uint8 [H, W, 3], the image, upright.
      planes: class probabilities; `probabilities` has them by name.
      faces: squares of the picture in which a face stands as in an aligned portrait, the largest first; None where
        nobody looked for them (`crop="none"`, landmarks).
      turn: degrees, clockwise, after which the faces that were found stand upright: 0, 90, 180 or 270.
      familiar: the pictures that the model was trained on, if it knows.
    """

    ids: np.ndarray
    confidence: np.ndarray
    label_set: LabelSet
    image: np.ndarray
    planes: Planes
    faces: tuple[Square, ...] | None = None
    turn: int = 0
    familiar: Familiar | None = None

    @functools.cached_property
    def doubt(self) -> float | None:
        """Return how far the image is from the pictures that the model was trained on, above 1 farther than 99 % of
        these; None if the model does not know them."""
        return None if self.familiar is None else self.familiar.doubt(self.image)

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

    def region(self, *names: str) -> np.ndarray:
        """Return one mask of several classes, bool [H, W].

        Args:
          names: classes, or regions such as `eyes`, `lips` and `face` (`input_pipeline.labels.REGIONS`).

        Raises:
          UserError: no such class or region.
        """
        return np.isin(self.ids, self.label_set.region(*names))

    def probabilities(self, *names: str) -> np.ndarray:
        """Return the probability that a pixel shows one of the classes, float32 [H, W]; arguments as for `region`.

        The classes are those before small components were cleaned away.
        """
        nothing = np.zeros(self.ids.shape, np.float32)
        return np.minimum(sum((self.planes[k] for k in self.label_set.region(*names)), nothing), 1.0)

    def palette_image(self) -> Image.Image:
        """Return a palette image (mode P): pixel values are class ids, the palette is the label set's."""
        picture = Image.fromarray(self.ids)
        picture.putpalette(self.label_set.palette.tobytes())
        return picture

    def overlay(self, image: Picture | None = None) -> Image.Image:
        """Draw an image (default: the one that was parsed) with its classes tinted and outlined; the background keeps
        its own colours.

        Raises:
          UserError: the image has another size.
        """
        pixels = self.image if image is None else read(image)
        size = pixels.shape[:2]
        require(size == self.ids.shape, f"the parsing is {self.ids.shape} and the picture {size}: not the same photo")
        return Image.fromarray(overlays.overlay(pixels, self.ids, self.label_set))

    def cutout(self, *names: str, soft: bool = False, background: tuple[int, int, int] | None = None) -> Image.Image:
        """Cut regions out of the image.

        Args:
          names: as for `region`; none: everything but class 0, the background.
          soft: opacity is the probability of the regions, not 0 or 1.
          background: RGB colour to lay them on; None leaves the rest transparent.

        Returns:
          RGBA, or RGB on a background.
        """
        names = names or self.label_set.names[1:]
        opacity = self.probabilities(*names) if soft else self.region(*names)
        shown = np.where(opacity[..., None] > 0, self.image, np.uint8(0))
        cut = Image.fromarray(np.dstack([shown, to_grey(opacity)]))
        if background is None:
            return cut
        return Image.alpha_composite(Image.new("RGBA", cut.size, (*background, 255)), cut).convert("RGB")

    def to_coco(self, image_id: int = 1, file_name: str = "") -> dict:
        """Return the content of a COCO file: one annotation for each class that is shown (`annotations.coco`)."""
        return annotations.coco(self.ids, self.confidence, self.label_set, image_id, file_name)

    def to_detections(self) -> dict[str, np.ndarray]:
        """Return `xyxy`, `mask`, `class_id` and `confidence` of each class that is shown, the arguments of
        `supervision.Detections` (`annotations.detections`)."""
        return annotations.detections(self.ids, self.confidence)


def to_grey(values: np.ndarray) -> np.ndarray:
    """Convert a mask or probabilities [H, W] to uint8: 0 is 0, 1 is 255."""
    return np.round(np.multiply(values, 255.0, dtype=np.float32)).astype(np.uint8)
