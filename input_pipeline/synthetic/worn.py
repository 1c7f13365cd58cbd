"""Contours of glasses, hats and earrings."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic.curves import ellipse, mirror, ribbon, superellipse
from input_pipeline.synthetic.factors import choice
from input_pipeline.synthetic.pose import HEAD, RIM, SURFACE
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.sketch import SIDES, Sketch


def dark_lenses(f: Mapping[str, float]) -> bool:
    """Return whether glasses are worn that hide the eyes."""
    return f["glasses"] > 0 and f["glasses_style"] > 0.6


def sketch_glasses(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Add `lenses`, `frames`, `temples` and `glare`."""
    square = 0.5 + 0.5 * f["accessory_hue"]
    rx, ry = 0.082, 0.068 - 0.012 * square + (0.008 if dark_lenses(f) else 0.0)
    rim = 0.0045 + 0.005 * f["glasses"]
    x, y = max(p.eye_x + 0.004, rx + rim + 0.012), 0.012
    outer = superellipse(x, y, rx + rim, ry + rim, square, 0.03)
    inner = superellipse(x, y, rx, ry, square, 0.03)
    for ring in (outer, inner):  # lenses wrap back around the face
        ring[:, 2] -= 0.25 * np.maximum(ring[:, 0] - p.eye_x, 0.0)
    arm = [(x + rx, -0.012, 0.13), (0.26 * p.width, -0.014, 0.06), (0.285 * p.width, 0.005, -0.05)]
    glare = np.array([(-0.4, -0.75, 0.0), (-0.1, -0.8, 0.0), (-0.45, 0.5, 0.0), (-0.7, 0.3, 0.0)]) * (rx, ry, 1.0)
    sketch.pair("lenses", outer, SURFACE)
    sketch.pair("frames", outer, SURFACE)
    for _, side in SIDES:
        sketch.ring("frames", inner, SURFACE, side, hole=True)
        # Both lenses reflect the same window: the glare is not mirrored with the lens.
        sketch.ring("glare", glare + np.array([side * x, y, 0.032]), SURFACE)
    bridge = [(rx - x, -0.004, 0.03), (0.0, -0.013, 0.034), (x - rx, -0.004, 0.03)]
    sketch.ring("frames", ribbon(bridge, [1.2 * rim, rim, 1.2 * rim]), SURFACE)
    sketch.pair("temples", ribbon(arm, [rim, 0.9 * rim, 0.9 * rim]), HEAD)


def sketch_hat(sketch: Sketch, f: Mapping[str, float], p: Proportions, volume: float) -> None:
    """Add `hat` and its `band` and `visor`: a beanie, a cap or a hat with a brim.

    Args:
      sketch: receives the parts.
      f: all factors by name.
      p: of the face.
      volume: of the hair underneath, image sides.
    """
    half, puff, low = (0.262 + 0.7 * volume) * p.width, volume + 0.012, -0.165 - 0.03 * f["hat"]

    def contour(*points) -> np.ndarray:
        """Return a contour from (x in half widths, y, z) of its image-right half."""
        return mirror(np.array(points) * (half, 1.0, 1.0))

    top = (0.0, -0.41 - puff, 0.0), (0.5, -0.39 - puff, 0.0), (0.82, -0.32 - 0.6 * puff, 0.0), (1.0, -0.21, 0.0)
    match choice(f["hat_style"], 3):
        case 0:  # a beanie with a fold
            peak = (0.0, -0.45 - puff, -0.04), (0.48, -0.42 - puff, -0.03), (0.82, -0.33 - 0.6 * puff, 0.0)
            hem = (1.02, -0.09, -0.02), (0.9, low + 0.05, 0.06), (0.5, low + 0.012, 0.13), (0.0, low, 0.15)
            fold = (0.0, low - 0.095, 0.15), (0.5, low - 0.09, 0.13), (0.95, low - 0.05, 0.06), (1.04, -0.18, -0.02)
            sketch.ring("hat", contour(*peak, (1.0, -0.2, 0.0), *hem), RIM)
            sketch.ring("band", contour(*fold, (1.07, -0.12, -0.02), *hem), RIM)
        case 1:  # a cap with a visor
            hem = (1.01, -0.11, -0.02), (0.88, low, 0.07), (0.5, low - 0.05, 0.15), (0.0, low - 0.06, 0.19)
            back = (0.0, low - 0.065, 0.21), (0.55, low - 0.05, 0.18), (0.9, low - 0.005, 0.1)
            front = (0.86, low + 0.035, 0.2), (0.5, low + 0.03, 0.33), (0.0, low + 0.022, 0.36)
            sketch.ring("hat", contour(*top, *hem), RIM)
            sketch.ring("visor", contour(*back, *front), RIM)
        case _:  # a brim all around and a ribbon
            hem = (0.6, low - 0.03, 0.1), (0.0, low - 0.02, 0.14)
            back = (0.0, low - 0.075, 0.15), (0.7, low - 0.08, 0.1), (1.5, low - 0.07, 0.0), (1.62, low - 0.035, 0.0)
            front = (1.3, low + 0.01, 0.1), (0.6, low + 0.035, 0.25), (0.0, low + 0.04, 0.3)
            upper = (0.0, low - 0.115, 0.15), (0.6, low - 0.12, 0.1), (0.97, low - 0.12, 0.0)
            lower = (0.97, low - 0.07, 0.0), (0.6, low - 0.05, 0.1), (0.0, low - 0.045, 0.15)
            sketch.ring("hat", contour(*top, *hem), RIM)
            sketch.ring("visor", contour(*back, *front), RIM)
            sketch.ring("band", contour(*upper, *lower), RIM)


def sketch_earrings(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Add `l_earring` and `r_earring` at the lobes: studs, hoops or drops."""
    size = 0.6 + 0.6 * f["earrings"]
    x, y, z = 0.264 * p.width + 0.8 * p.ear_angle, 0.172 * p.ear, -0.04
    for name, side in SIDES:
        part = f"{name}_earring"
        match choice(f["earring_style"], 3):
            case 0:
                sketch.ring(part, ellipse(x, y, 0.016 * size, 0.016 * size, z), HEAD, side)
            case 1:
                r = 0.036 * size
                sketch.ring(part, ellipse(x, y + r, 0.8 * r, r, z), HEAD, side)
                sketch.ring(part, ellipse(x, y + r, 0.8 * r - 0.011, r - 0.011, z), HEAD, side, hole=True)
            case _:
                wire = [(x, y - 0.005, z), (x, y + 0.05 * size, z)]
                sketch.ring(part, ribbon(wire, [0.004, 0.004]), HEAD, side)
                sketch.ring(part, ellipse(x, y + 0.062 * size, 0.017 * size, 0.026 * size, z), HEAD, side)
        sketch.anchor(part, (x, y + 0.02 * size, z), HEAD, side)
