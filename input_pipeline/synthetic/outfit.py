"""Contours of the body and of everything worn: neck, clothes, glasses, hats, jewellery."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic.curves import ellipse, mirror, ribbon, superellipse
from input_pipeline.synthetic.pose import BODY, HEAD, RIM, SURFACE
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.sketch import SIDES, Sketch


def choice(value: float, count: int) -> int:
    """Which of `count` equal shares of [-1, 1] the factor `value` lies in."""
    return min(max(int((value + 1.0) * 0.5 * count), 0), count - 1)


def cloth_style(f: Mapping[str, float]) -> str:
    """`crew`, `vee`, `shirt`, `roll` (turtleneck) or `wide` (bare shoulders)."""
    return ("crew", "vee", "shirt", "roll", "wide")[choice(f["cloth_style"], 5)]


def hat_style(f: Mapping[str, float]) -> str:
    """`beanie`, `cap` or `brim`."""
    return ("beanie", "cap", "brim")[choice(f["hat_style"], 3)]


def dark_lenses(f: Mapping[str, float]) -> bool:
    """Whether the glasses hide the eyes."""
    return f["glasses"] > 0 and f["glasses_style"] > 0.6


def sketch_body(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Adds `neck`, `cloth`, its `collar` and seams, and the necklace."""
    broad = 1.0 + 0.1 * f["masculinity"]
    n = 0.162 * broad
    neck = [(0.0, 0.1, 0.0), (n, 0.12, 0.0), (0.98 * n, 0.3, 0.0), (n, 0.4, 0.0), (1.3 * n, 0.465, 0.0),
            (0.4, 0.52, -0.02), (0.6, 0.62, -0.02), (0.62, 0.8, 0.0), (0.0, 0.8, 0.0)]  # fmt: skip
    sketch.ring("neck", mirror(neck), BODY)
    sketch.anchor("neck", [(0.0, 0.44, 0.05), (n, 0.44, 0.0)], BODY)
    tendon = [(0.8 * n, 0.33, 0.05), (0.5 * n, 0.43, 0.06), (0.16 * n, 0.52, 0.07)]
    sketch.pair("tendons", ribbon(tendon, [0.001, 0.006, 0.002]), BODY)
    bone = [(0.2 * n, 0.545, 0.07), (0.9 * n, 0.525, 0.05), (1.9 * n, 0.51, 0.0)]
    sketch.pair("tendons", ribbon(bone, [0.003, 0.006, 0.001]), BODY)

    style = cloth_style(f)
    dip, inner = {"crew": (0.5, 1.14), "vee": (0.595, 1.1), "shirt": (0.555, 1.05), "roll": (0.42, 1.04),
                  "wide": (0.54, 1.55)}[style]  # fmt: skip
    top = 0.385 if style == "roll" else 0.42 if inner < 1.5 else 0.45
    cut = [(0.0, dip, 0.08), (0.5 * inner * n, dip - (0.3 if style in ("crew", "wide") else 0.5) * (dip - top), 0.06)]
    edge = [*cut, (inner * n, top, 0.0)]
    shoulder = [((inner + 0.25) * n, top + 0.012, -0.01), (max(0.28, 2.4 * n), 0.47, -0.02), (0.43 * broad, 0.5, -0.02),
                (0.58 * broad, 0.6, -0.02), (0.62 * broad, 0.9, 0.0), (0.0, 0.9, 0.05)]  # fmt: skip
    outer = [point for point in shoulder if point[0] > edge[-1][0] + 0.03 or point[0] == 0.0]
    sketch.ring("cloth", mirror(edge + outer), BODY)
    band = 0.022 if style in ("crew", "vee") else 0.07 if style == "roll" else 0.0
    if band:
        lower = [(x, y + band * (0.8 if style == "roll" else 1.0), z) for x, y, z in reversed(edge)]
        half = [*edge, *(((1.08 * lower[0][0], lower[0][1], 0.0),) + tuple(lower[1:]))]
        sketch.ring("collar", mirror(half), BODY)
    if style == "shirt":
        for side in (1, -1):
            flap = [(1.0 * n, 0.395, 0.0), (0.62 * n, 0.465, 0.06), (0.06 * n, 0.55, 0.08), (0.55 * n, 0.595, 0.1),
                    (1.25 * n, 0.5, 0.04), (1.22 * n, 0.425, 0.0)]  # fmt: skip
            sketch.ring("collar", flap, BODY, side, smooth=False)
    if f["necklace"] > 0:
        hang = 0.455 + 0.05 * f["necklace"]
        t = np.linspace(-1.0, 1.0, 9)
        chain = np.stack([1.12 * n * t, hang - (hang - 0.385) * np.square(t) * np.abs(t), 0.09 - 0.06 * t * t], axis=1)
        width = 0.0045 + 0.006 * max(f["accessory_hue"], 0.0)
        sketch.ring("necklace", ribbon(chain, np.full(9, width)), BODY)
        sketch.ring("necklace", ellipse(0.0, hang + 0.012, 0.015, 0.019, 0.09), BODY)
        sketch.anchor("pendant", (0.0, hang + 0.01, 0.09), BODY)


def sketch_glasses(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Adds `lenses`, `frames` and `temples` when the face wears glasses."""
    if f["glasses"] <= 0:
        return
    square = (f["accessory_hue"] + 1.0) / 2.0
    rx, ry = 0.082, 0.056 + 0.012 * (1.0 - square) + (0.008 if dark_lenses(f) else 0.0)
    rim = 0.0045 + 0.005 * f["glasses"]
    x, y = max(p.eye_x + 0.004, rx + rim + 0.012), 0.012
    for side in (1, -1):
        outer = superellipse(x, y, rx + rim, ry + rim, square, 0.03)
        inner = superellipse(x, y, rx, ry, square, 0.03)
        outer[:, 2] -= 0.25 * np.maximum(outer[:, 0] - p.eye_x, 0.0)
        inner[:, 2] -= 0.25 * np.maximum(inner[:, 0] - p.eye_x, 0.0)
        sketch.ring("lenses", outer, SURFACE, side)
        sketch.ring("frames", outer, SURFACE, side)
        sketch.ring("frames", inner, SURFACE, side, hole=True)
        arm = [(x + rx, -0.012, 0.13), (0.26 * p.width, -0.014, 0.06), (0.285 * p.width, 0.005, -0.05)]
        sketch.ring("temples", ribbon(arm, [rim, 0.9 * rim, 0.9 * rim]), HEAD, side)
        glare = [(x - 0.4 * rx, y - 0.75 * ry, 0.032), (x - 0.1 * rx, y - 0.8 * ry, 0.032),
                 (x - 0.45 * rx, y + 0.5 * ry, 0.032), (x - 0.7 * rx, y + 0.3 * ry, 0.032)]  # fmt: skip
        # Both lenses mirror the same window: the glare is shifted, not mirrored.
        sketch.ring("glare", np.array(glare) + ((-2.0 * x, 0.0, 0.0) if side < 0 else (0.0, 0.0, 0.0)), SURFACE)
    gap = x - rx
    bridge = [(-gap, -0.004, 0.03), (0.0, -0.013, 0.034), (gap, -0.004, 0.03)]
    sketch.ring("frames", ribbon(bridge, [1.2 * rim, rim, 1.2 * rim]), SURFACE)


def sketch_hat(sketch: Sketch, f: Mapping[str, float], p: Proportions, volume: float) -> None:
    """Adds `hat` and its `band` and `visor` when the face wears a hat."""
    if f["hat"] <= 0:
        return
    w, puff = (0.262 + 0.7 * volume) * p.width, volume + 0.012
    low = -0.165 - 0.03 * f["hat"]
    crown = [(0.0, -0.41 - puff, 0.0), (0.14, -0.39 - puff, 0.0), (0.225, -0.32 - 0.6 * puff, 0.0), (w, -0.21, 0.0)]
    style = hat_style(f)
    if style == "beanie":
        crown = [
            (0.0, -0.45 - puff, -0.04),
            (0.13, -0.42 - puff, -0.03),
            (0.22, -0.33 - 0.6 * puff, 0.0),
            (w, -0.2, 0.0),
        ]
        front = [(1.02 * w, -0.09, -0.02), (0.9 * w, low + 0.05, 0.06), (0.5 * w, low + 0.012, 0.13), (0.0, low, 0.15)]
        fold = [
            (0.0, low - 0.095, 0.15),
            (0.5 * w, low - 0.09, 0.13),
            (0.95 * w, low - 0.05, 0.06),
            (1.04 * w, -0.18, -0.02),
        ]
        sketch.ring("band", mirror([*fold, (1.07 * w, -0.12, -0.02), *front]), RIM)
    elif style == "cap":
        front = [(1.01 * w, -0.11, -0.02), (0.88 * w, low, 0.07), (0.5 * w, low - 0.05, 0.15), (0.0, low - 0.06, 0.19)]
        visor = [(0.0, low - 0.065, 0.21), (0.55 * w, low - 0.05, 0.18), (0.9 * w, low - 0.005, 0.1),
                 (0.86 * w, low + 0.035, 0.2), (0.5 * w, low + 0.03, 0.33), (0.0, low + 0.022, 0.36)]  # fmt: skip
        sketch.ring("visor", mirror(visor), RIM)
    else:
        front = [(1.0 * w, -0.19, 0.0), (0.6 * w, low - 0.03, 0.1), (0.0, low - 0.02, 0.14)]
        brim = [(0.0, low - 0.075, 0.15), (0.7 * w, low - 0.08, 0.1), (1.5 * w, low - 0.07, 0.0), (1.62 * w, low - 0.035, 0.0),
                (1.3 * w, low + 0.01, 0.1), (0.6 * w, low + 0.035, 0.25), (0.0, low + 0.04, 0.3)]  # fmt: skip
        sketch.ring("visor", mirror(brim), RIM)
        ring = [(0.0, low - 0.115, 0.15), (0.6 * w, low - 0.12, 0.1), (0.97 * w, low - 0.12, 0.0), (0.97 * w, low - 0.07, 0.0),
                (0.6 * w, low - 0.05, 0.1), (0.0, low - 0.045, 0.15)]  # fmt: skip
        sketch.ring("band", mirror(ring), RIM)
    sketch.ring("hat", mirror(crown + front), RIM)


def sketch_earrings(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Adds `l_earring` and `r_earring` (studs, hoops or drops) under the lobes."""
    if f["earrings"] <= 0:
        return
    size = 0.6 + 0.6 * f["earrings"]
    x, y = 0.264 * p.width + 0.8 * p.ear_angle, 0.172 * p.ear
    for name, side in SIDES:
        part = f"{name}_earring"
        kind = choice(f["earring_style"], 3)
        if kind == 0:
            sketch.ring(part, ellipse(x, y, 0.016 * size, 0.016 * size, -0.04), HEAD, side)
        elif kind == 1:
            r = 0.036 * size
            sketch.ring(part, ellipse(x, y + r, 0.8 * r, r, -0.04), HEAD, side)
            sketch.ring(part, ellipse(x, y + r, 0.8 * r - 0.011, r - 0.011, -0.04), HEAD, side, hole=True)
        else:
            sketch.ring(part, ribbon([(x, y - 0.005, -0.04), (x, y + 0.05 * size, -0.04)], [0.004, 0.004]), HEAD, side)
            sketch.ring(part, ellipse(x, y + 0.062 * size, 0.017 * size, 0.026 * size, -0.04), HEAD, side)
        sketch.anchor(part, (x, y + 0.02 * size, -0.04), HEAD, side)
