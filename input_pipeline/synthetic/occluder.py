"""Contours of an occluder between camera and face: a hand or an object. Real masks label it as background."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic.curves import directions, ellipse, ribbon, superellipse
from input_pipeline.synthetic.factors import choice
from input_pipeline.synthetic.pose import SCENE
from input_pipeline.synthetic.sketch import Sketch


def occluder_style(f: Mapping[str, float]) -> str:
    """Return `hand` (twice as likely), `phone`, `microphone` or `mug`."""
    return ("hand", "hand", "phone", "microphone", "mug")[choice(f["occluder_style"], 5)]


def sketch_occluder(sketch: Sketch, f: Mapping[str, float]) -> None:
    """Add the occluder's parts in image coordinates, entering from below."""
    x, y = 0.5 + 0.26 * f["occluder_x"], 0.72 + 0.1 * f["occluder_y"]
    lean = -0.5 * (x - 0.5) + 0.15 * f["occluder_y"]
    draw = {"hand": _hand, "phone": _phone, "microphone": _microphone, "mug": _mug}[occluder_style(f)]
    draw(sketch, _Frame(x, y, lean))
    sketch.anchor("occluder", (x, y, 0.0), SCENE)


class _Frame:
    """A frame for shapes drawn around the origin: it rotates them by a small angle and moves them into place."""

    def __init__(self, x: float, y: float, lean: float):
        self.x, self.y = x, y
        self.sin, self.cos = lean, 1.0 - 0.5 * lean * lean

    def __call__(self, points) -> np.ndarray:
        points = np.asarray(points, np.float64)
        x, y = points[:, 0], points[:, 1]
        return np.stack([self.x + self.cos * x - self.sin * y, self.y + self.sin * x + self.cos * y, 0.0 * x], axis=1)


def _hand(sketch: Sketch, place: _Frame) -> None:
    palm = [(-0.085, 0.03), (-0.03, 0.0), (0.04, 0.005), (0.088, 0.05), (0.09, 0.14), (0.065, 0.22), (0.068, 0.45),
            (-0.062, 0.45), (-0.06, 0.23), (-0.092, 0.13)]  # fmt: skip
    sketch.ring("palm", place(palm), SCENE)
    sin, cos = directions([-14.0, -4.0, 5.0, 15.0])
    for k, (base, length) in enumerate(((-0.067, 0.15), (-0.022, 0.185), (0.024, 0.175), (0.066, 0.135))):
        reach = np.array([-0.05, 0.35, 0.7, 0.93, 1.0])
        bone = np.stack([base + length * reach * sin[k], 0.04 - (length + 0.04) * reach * cos[k]], axis=1)
        sketch.ring(f"finger{k}", place(ribbon(bone, [0.021, 0.0225, 0.021, 0.017, 0.007])), SCENE)
        nail = bone[-1] * 0.22 + bone[-2] * 0.78
        sketch.ring("nails", place(ellipse(*nail, 0.0095, 0.014)), SCENE)
    thumb = [(-0.07, 0.17), (-0.115, 0.1), (-0.135, 0.045), (-0.14, 0.012), (-0.141, 0.002)]
    sketch.ring("finger4", place(ribbon(thumb, [0.034, 0.028, 0.024, 0.018, 0.008])), SCENE)


def _phone(sketch: Sketch, place: _Frame) -> None:
    sketch.ring("object", place(superellipse(0.0, 0.12, 0.085, 0.17, 1.0)), SCENE)
    sketch.ring("object_detail", place(superellipse(-0.048, -0.02, 0.026, 0.026, 1.0)), SCENE)
    sketch.ring("object_dark", place(ellipse(-0.048, -0.02, 0.012, 0.012)), SCENE)


def _microphone(sketch: Sketch, place: _Frame) -> None:
    stem = [(0.0, 0.05), (0.0, 0.2), (0.0, 0.5)]
    sketch.ring("object", place(ribbon(stem, [0.034, 0.028, 0.024])), SCENE)
    sketch.ring("object_detail", place(ellipse(0.0, 0.0, 0.062, 0.07)), SCENE)
    sketch.ring(
        "object_dark", place(ribbon([(-0.058, 0.03), (0.0, 0.045), (0.058, 0.03)], [0.006, 0.007, 0.006])), SCENE
    )


def _mug(sketch: Sketch, place: _Frame) -> None:
    body = [(-0.1, 0.0), (0.1, 0.0), (0.094, 0.2), (-0.094, 0.2)]
    sketch.ring("object", place(body), SCENE, smooth=False)
    sketch.ring("object", place(ellipse(0.0, 0.2, 0.094, 0.022)), SCENE)
    sketch.ring("object", place(ribbon([(0.09, 0.04), (0.155, 0.055), (0.15, 0.13), (0.09, 0.15)], [0.012] * 4)), SCENE)
    sketch.ring("object_dark", place(ellipse(0.0, 0.0, 0.1, 0.022)), SCENE)
    sketch.ring(
        "object_detail", place([(-0.098, 0.07), (0.098, 0.07), (0.096, 0.12), (-0.096, 0.12)]), SCENE, smooth=False
    )
