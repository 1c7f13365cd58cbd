"""The state that the painters of one image share."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import Canvas, within
from input_pipeline.synthetic.fields import value_noise
from input_pipeline.synthetic.palette import Palette
from input_pipeline.synthetic.pose import Pose
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.raster import Cover


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image while it is painted.

    Attributes:
      canvas: the image painted so far.
      covers: coverage of every part of the drawing.
      anchors: posed points, image sides.
      factors: all factors by name.
      proportions: lengths of the face.
      pose: of the head.
      palette: colours and light.
      light: float32 [3, size, size], light on the face.
      key: of the image's random texture.
    """

    canvas: Canvas
    covers: Mapping[str, Cover]
    anchors: Mapping[str, np.ndarray]
    factors: Mapping[str, float]
    proportions: Proportions
    pose: Pose
    palette: Palette
    light: np.ndarray
    key: int

    def lit(self, part: str, albedo: np.ndarray) -> np.ndarray:
        """Return an albedo in the light that falls on the part's box, float32 [3, h, w]."""
        return albedo * self.light[:, *self.covers[part].box]

    def glow(self, anchor: str, rx: float, ry: float, dx: float = 0.0, dy: float = 0.0, row: int = 0) -> Cover:
        """Return a soft ellipse at an anchor; sizes and offsets in nominal image sides."""
        x, y = self.anchors[anchor][row].tolist()
        s = self.pose.scale
        return self.canvas.glow((x + s * dx, y + s * dy), s * rx, s * ry)

    def stain(self, cover: Cover, color: np.ndarray, amount: float) -> None:
        """Multiply by a colour where the cover lies on the face."""
        self.canvas.tint(within(cover, self.covers["skin"]), color, amount)

    def noise(self, name: str, box: tuple[slice, slice], cells: int) -> np.ndarray:
        """Return value noise of this image on a box, float32 [h, w] in [0, 1), `cells` to the image side."""
        rows, columns = (self.canvas.centres[span] for span in box)
        return value_noise(rng.fold(self.key, name), rows, columns, cells)

    def pixels(self, length: float) -> int:
        """Return a nominal length in pixels, rounded, at least 1."""
        return max(round(length * self.pose.scale * self.canvas.size), 1)
