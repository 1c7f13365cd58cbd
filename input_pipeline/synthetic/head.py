"""Contours of the head: face, ears, brows, eyes, nose, mouth; and the 68 landmarks that lie on them."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic.curves import ellipse, mirror, ribbon
from input_pipeline.synthetic.pose import HEAD, RIM, SURFACE
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.sketch import SIDES, Sketch

# Right half of the silhouette of skull and jaw (x, y, z); z is the depth of the silhouette point on the head.
_SILHOUETTE = np.array(
    [
        (0.0, -0.402, 0.0),
        (0.1, -0.387, 0.0),
        (0.186, -0.333, 0.0),
        (0.235, -0.235, 0.0),
        (0.25, -0.13, 0.0),
        (0.252, -0.03, 0.01),
        (0.252, 0.06, 0.02),
        (0.247, 0.14, 0.03),
        (0.232, 0.22, 0.045),
        (0.2, 0.3, 0.07),
        (0.148, 0.37, 0.1),
        (0.076, 0.412, 0.13),
        (0.0, 0.42, 0.14),
    ]
)
_JAW_LANDMARKS = np.array([4.6, 5.5, 6.4, 7.3, 8.3, 9.2, 10.2, 11.2])  # silhouette positions from ear to chin


def silhouette(p: Proportions) -> np.ndarray:
    """Return the right half of the outline, from the top of the skull to the chin: float64 [13, 3], RIM coordinates."""
    x, y, z = _SILHOUETTE.T
    low = np.clip((y - 0.02) / 0.28, 0.0, 1.0)
    bulge = _bump(y, 0.16, 0.16)
    x = x * (p.width * (1.0 + (p.jaw - 1.0) * low)) + np.where(x > 0, p.cheek * bulge, 0.0)
    x = x + p.cheekbone * _bump(y, 0.06, 0.12) + p.jaw_angle * _bump(y, 0.325, 0.13) * (x > 0)
    x = x * (1.0 + (p.chin_width - 1.0) * _bump(y, 0.42, 0.07))
    for k in range(7, 12):  # a jaw is nowhere wider than above
        x[k] = min(x[k], x[k - 1] - 0.003)
    stretch = np.maximum(y - 0.1, 0.0) / 0.32
    y = y + stretch * (p.chin - 0.42) + stretch * stretch * p.jaw_drop
    return np.stack([x, y, z], axis=1)


def _bump(y: np.ndarray, middle: float, reach: float) -> np.ndarray:
    return np.maximum(1.0 - np.square((y - middle) / reach), 0.0)


def sketch_head(sketch: Sketch, f: Mapping[str, float], p: Proportions) -> None:
    """Add every part of the bare head."""
    outline = silhouette(p)
    sketch.ring("skin", mirror(outline), RIM)
    jaw = _along(outline, _JAW_LANDMARKS)
    for name, side in SIDES:
        sketch.anchor(f"{name}_jaw", jaw, RIM, side)
    sketch.anchor("chin", outline[-1], RIM)
    _ears(sketch, p)
    _brows(sketch, p)
    _eyes(sketch, p)
    _nose(sketch, p)
    _mouth(sketch, p)
    _moles(sketch, f)


def _moles(sketch: Sketch, f: Mapping[str, float]) -> None:
    """Add the anchors of the moles, on the cheeks and the lower face."""
    for name in ("mole", "second_mole"):
        if f[name] > 0:
            x, y = f[f"{name}_x"], f[f"{name}_y"]
            sketch.anchor(name, (0.06 * (1.0 if x > 0 else -1.0) + 0.12 * x, 0.175 + 0.135 * y, 0.004), SURFACE)


# Rim of the ear: (distance from the root in flares, height in ear heights).
_EAR = np.array(
    [(0.0, 0.12), (0.55, -0.02), (1.3, -0.04), (1.75, 0.12), (1.75, 0.34), (1.5, 0.58), (1.15, 0.78), (0.95, 0.95),
     (0.5, 1.02), (0.1, 0.9)]
)  # fmt: skip
_CONCHA = (0.72, 0.42) + 0.55 * (_EAR - (0.72, 0.42))


def _ears(sketch: Sketch, p: Proportions) -> None:
    for part, profile in (("ear", _EAR), ("concha", _CONCHA)):
        out, down = profile.T
        x, y = 0.264 * p.width + p.ear_angle * out, 0.02 * (1.0 - p.ear) + 0.18 * p.ear * down
        flap = np.stack([x, y, -0.03 - 0.022 * out], axis=1)  # it stands out backwards
        for name, side in SIDES:
            sketch.ring(f"{name}_{part}", flap, HEAD, side)


def _brows(sketch: Sketch, p: Proportions) -> None:
    points = np.empty((6, 3))
    along = np.array([-0.066, -0.035, 0.0, 0.038, 0.068, 0.094])
    points[:, 0] = p.eye_x + p.brow_length * along
    rise = np.array([0.1, 0.45, 0.75, 1.0, 0.8, 0.25])
    points[:, 1] = p.brow_y + 0.016 - (0.006 + p.brow_arch) * rise - p.brow_slant * along
    points[:, 2] = 0.006
    stroke = ribbon(points, p.brow_half * np.array([0.85, 1.1, 1.05, 0.85, 0.6, 0.2]))
    for name, side in SIDES:
        sketch.ring(f"{name}_brow", stroke, SURFACE, side)
        sketch.anchor(f"{name}_brow", points[:5], SURFACE, side)


def _eyes(sketch: Sketch, p: Proportions) -> None:
    x, up, low = p.eye_x, p.lid_upper, p.lid_lower
    along = np.array([-1.0, -0.62, -0.08, 0.5, 1.0, 0.55, 0.05, -0.52])  # from the inner corner over the upper lid
    height = np.array([0.005, -0.68 * up, -up, -0.8 * up, -0.001, 0.68 * low, low, 0.78 * low])
    contour = np.stack([x + p.eye_half * along, height - p.eye_tilt * along, np.full(8, 0.004)], axis=1)
    line = contour[:5] + np.array([0.0, -0.0015, 0.002])
    lash = np.concatenate([line, line[4:] + np.array([0.007, -0.003, 0.0])])
    fold = contour[:5] * (1.0, 0.0, 1.0)
    fold[:, 1] = p.crease * np.array([-0.19, -0.76, -1.0, -0.825, -0.22]) - p.eye_tilt * along[:5]
    lines = {
        "lash": ribbon(lash, [0.0008, 0.0026, 0.0036, 0.004, 0.003, 0.0008]),
        "lower_lid": ribbon(contour[4:] + np.array([0.0, 0.001, 0.002]), [0.0012, 0.0014, 0.001, 0.0006]),
        "crease": ribbon(fold, [0.0004, 0.0016, 0.002, 0.0018, 0.0006]),
    }
    for name, side in SIDES:
        # Both eyes look the same way, so the gaze is not mirrored with the eye.
        gx, gy = x + side * p.gaze[0], p.gaze[1] - 0.004
        sketch.ring(f"{name}_eye", contour, SURFACE, side)
        sketch.ring(f"{name}_iris", ellipse(gx, gy, p.iris, p.iris, 0.006), SURFACE, side)
        sketch.ring(f"{name}_pupil", ellipse(gx, gy, 0.43 * p.iris, 0.43 * p.iris, 0.006), SURFACE, side)
        for part, stroke in lines.items():
            sketch.ring(f"{name}_{part}", stroke, SURFACE, side)
        sketch.anchor(f"{name}_eye", contour[[0, 1, 3, 4, 5, 7]], SURFACE, side)
        sketch.anchor(f"{name}_socket", (x, 0.0, 0.0), SURFACE, side)
        sketch.anchor(f"{name}_iris", (gx, gy, 0.006), SURFACE, side)


def _nose(sketch: Sketch, p: Proportions) -> None:
    base, half, rise = p.nose_base, p.nose_half, p.nose_height
    outline = [
        (0.0, -0.012, 0.012),
        (0.02 * p.nose_root, 0.0, 0.012),
        (0.026 * p.nose_root, 0.35 * base, 0.018),
        (0.038 * p.nose_root, 0.6 * base, 0.02),
        (0.8 * half, 0.74 * base, 0.02),
        (half, 0.87 * base, 0.016),
        (0.88 * half, 0.98 * base, 0.016),
        (0.5 * half, base, 0.03),
        (0.0, base + 0.006, 0.04),
    ]
    sketch.ring("nose", mirror(outline), SURFACE)
    # A turned nose hides its far side: the ridge and the ball are outlines of their own.
    sketch.ring("nose", ellipse(0.0, 0.83 * base, 0.03 * p.nose_tip, 0.032 * p.nose_tip, rise), SURFACE)
    sketch.ring("nose", ribbon([(0.0, 0.02, 0.02), (0.0, 0.4 * base, 0.5 * rise), (0.0, 0.8 * base, rise)],
                               [0.012, 0.014, 0.02]), SURFACE)  # fmt: skip
    sketch.pair("nostrils", ellipse(0.42 * half, base - 0.007, 0.21 * half, 0.0062, 0.034), SURFACE)
    crease = [(0.93 * half, 0.78 * base, 0.016), (1.04 * half, 0.88 * base, 0.014), (0.9 * half, base, 0.016)]
    sketch.pair("wings", ribbon(crease, [0.0006, 0.003, 0.0008]), SURFACE)
    bridge = [(0.0, t * base, 0.01 + t * (rise - 0.01)) for t in (0.0, 0.28, 0.56, 0.84)]
    under = [(t * half, base - 0.002, 0.03 - 0.012 * abs(t)) for t in (-0.6, -0.3, 0.0, 0.3, 0.6)]
    sketch.anchor("nose", bridge + under, SURFACE)


def _mouth(sketch: Sketch, p: Proportions) -> None:
    def row(along, y: float, heights, dz: float) -> np.ndarray:
        """Place points at shares `along` of the half width, `heights` over line y; smiling lifts the outer ones."""
        along = np.asarray(along)
        lift = p.smile * (0.004 - 0.019 * along * along)
        depth = dz * (1.0 - along * along)
        return np.stack([p.mouth_half * along, y + lift + np.asarray(heights), depth], axis=1)

    up, low, gap = p.upper_lip, p.lower_lip, p.mouth_gap
    seam_up, seam_low = p.mouth_y - 0.12 * gap, p.mouth_y + 0.88 * gap
    corner = p.mouth_y + 0.33 * gap
    ends = row([-1.0, 1.0], corner, 0.0, 0.0)
    top = row([-0.62, -0.2, 0.0, 0.2, 0.62], seam_up, np.array([-0.56, -1.0, -0.82, -1.0, -0.56]) * up, 0.022)
    bottom = row([0.66, 0.34, 0.0, -0.34, -0.66], seam_low, np.array([0.6, 0.93, 1.02, 0.93, 0.6]) * low, 0.02)
    inner_up = row([-0.9, -0.45, 0.0, 0.45, 0.9], seam_up, np.array([0.1 * gap, 0.0, 0.0022, 0.0, 0.1 * gap]), 0.016)
    sag = np.array([-0.4, -0.1, 0.0, -0.1, -0.4]) * gap
    inner_low = row([-0.9, -0.45, 0.0, 0.45, 0.9], seam_low, sag + np.array([0.0, 0.0, 0.0022, 0.0, 0.0]), 0.016)

    sketch.ring("u_lip", np.concatenate([ends[:1], top, ends[1:], inner_up[::-1]]), SURFACE)
    sketch.ring("l_lip", np.concatenate([ends[:1], inner_low, ends[1:], bottom]), SURFACE)
    seam = ribbon(np.concatenate([ends[:1], inner_up, ends[1:]]), [0.0014, 0.002, 0.0024, 0.002, 0.0024, 0.002, 0.0014])
    sketch.ring("seam", seam, SURFACE)
    if gap > 0.0:
        sketch.ring("mouth", np.concatenate([inner_up, inner_low[::-1]]), SURFACE)
        edge = inner_up[[0, 1, 2, 3, 4]] * (0.92, 1.0, 1.0)
        teeth = edge[::-1] + np.array([0.0, min(0.72 * gap, 0.022), 0.0])
        teeth[[0, -1], 1] -= 0.4 * min(0.72 * gap, 0.022)
        sketch.ring("teeth", np.concatenate([edge - (0.0, 0.004, 0.0), teeth]), SURFACE)
        sketch.anchor("tongue", (0.0, seam_low + 0.004, 0.0), SURFACE)
    outer = np.concatenate([ends[:1], top, ends[1:], bottom])
    sketch.anchor("lips", outer, SURFACE)
    inside = [ends[0] * (0.9, 1.0, 1.0), *inner_up[1:4], ends[1] * (0.9, 1.0, 1.0), *inner_low[3:0:-1]]
    sketch.anchor("inner_lips", inside, SURFACE)
    sketch.anchor("mouth", (0.0, p.mouth_y, 0.02), SURFACE)
    nasolabial = [(1.15 * p.nose_half, 0.93 * p.nose_base, 0.008), (1.7 * p.nose_half, p.nose_base + 0.035, 0.01),
                  (p.mouth_half + 0.026, p.mouth_y - 0.012 * p.smile, 0.006)]  # fmt: skip
    sketch.pair("folds", ribbon(nasolabial, [0.0008, 0.0034, 0.0008]), SURFACE)
    for name, side in SIDES:
        sketch.anchor(f"{name}_cheek", (0.148, 0.125, 0.02), SURFACE, side)


def _along(points: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Interpolate linearly at fractional indices."""
    below = positions.astype(np.int64)
    share = (positions - below)[:, None]
    return points[below] * (1.0 - share) + points[below + 1] * share


def landmarks(anchors: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Return the landmarks, float32 [68, 2] (x, y) pixels in iBUG-68 order: jaw, brows, nose, eyes, lips, inner lips.

    Args:
      anchors: the posed anchors of `sketch_head`.
      size: image side in pixels.
    """
    points = np.concatenate(
        [
            anchors["r_jaw"], anchors["chin"], anchors["l_jaw"][::-1],
            anchors["r_brow"][::-1], anchors["l_brow"],
            anchors["nose"],
            # The subject's right eye is numbered from its outer corner, the left one from its inner corner.
            anchors["r_eye"][[3, 2, 1, 0, 5, 4]], anchors["l_eye"],
            anchors["lips"], anchors["inner_lips"],
        ]
    )  # fmt: skip
    return (points * size).astype(np.float32)


def sketch_beard(sketch: Sketch, p: Proportions, amount: float) -> None:
    """Add `beard`: the lower face from ear to ear, with the moustache, around the lips."""
    outline = silhouette(p)[5:]
    lip = p.mouth_y
    inner = [
        (0.226 * p.width, 0.06, 0.0),
        (0.19 * p.width, lip - 0.09 + 0.05 * (1.0 - amount), 0.0),
        (0.13, lip - 0.03, 0.0),
        (0.085, lip - 0.05, 0.0),
        (0.03, p.nose_base + 0.016, 0.0),
        (0.0, p.nose_base + 0.022, 0.0),
    ]
    low = outline * (1.03, 1.0, 1.0) + (0.0, 0.012, 0.0)
    sketch.ring("beard", mirror(np.concatenate([np.array(inner)[::-1], low])), RIM)
