"""Light on surfaces: relief as slopes, wrapped diffuse light, soft highlights."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic.canvas import Canvas
from input_pipeline.synthetic.palette import Light
from input_pipeline.synthetic.pose import SURFACE, Pose
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.raster import Cover
from input_pipeline.synthetic.sketch import Sketch

# How far each colour reaches around the terminator: light scatters in skin, red the farthest.
_SKIN_WRAP = np.array([0.5, 0.32, 0.26], np.float32)[:, None, None]


def sketch_relief(sketch: Sketch, p: Proportions) -> np.ndarray:
    """Add the bumps and hollows of the face as anchors.

    Returns:
      float64 [n, 3]: radius across, radius down (image sides) and steepness of each, negative for hollows.
    """
    e, base, mouth = p.eye_x, p.nose_base, p.mouth_y
    chin = p.chin + p.jaw_drop
    middle = [  # x, y, height over the face, radius across, radius down, steepness
        (0.0, 0.45 * base, 0.02, 0.042 * p.nose_root, 0.13, 0.95),
        (0.0, 0.84 * base, p.nose_height, 0.045 * p.nose_tip, 0.042 * p.nose_tip, 1.0),
        (0.0, mouth, 0.015, 0.125, 0.085, 0.4),
        (0.0, mouth + 0.9 * p.mouth_gap + 0.5 * p.lower_lip, 0.02, 0.075, 0.03, 0.75),
        (0.0, mouth - 0.1 * p.mouth_gap - 0.6 * p.upper_lip, 0.02, 0.075, 0.024, 0.5),
        (0.0, 0.5 * (mouth + p.mouth_gap + p.lower_lip + chin) - 0.02, 0.0, 0.075, 0.034, -0.55),
        (0.0, chin - 0.04, 0.0, 0.08, 0.055, 0.55),
        (0.0, 0.5 * (base + mouth) - 0.014, 0.02, 0.014, 0.03, -0.35),
    ]
    sides = [
        (e - 0.006, -0.012, 0.0, 0.085, 0.055, -0.55 - 0.06 * 1.0),
        (e, 0.002, 0.0, 0.052, 0.036, 0.5),
        (e + 0.004, -0.07, 0.0, 0.1, 0.045, 0.3),
        (0.145, 0.12, 0.0, 0.105, 0.085, 0.42 + 0.1 * max(p.smile, 0.0)),
        (0.72 * p.nose_half, 0.87 * base, 0.02, 0.03, 0.03, 0.55),
        (0.225, -0.08, 0.0, 0.05, 0.1, -0.3),
    ]
    rows = np.array(middle + sides + [(-x, *rest) for x, *rest in sides])
    sketch.anchor("relief", rows[:, :3], SURFACE)
    sketch.anchor("face", (0.0, 0.02, 0.0))
    return rows[:, 3:]


def skin_light(
    canvas: Canvas, cover: Cover, anchors: Mapping[str, np.ndarray], relief: np.ndarray, pose: Pose, light: Light
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the light that falls on the face, and its shine.

    Args:
      canvas: provides the pixel grid.
      cover: the face.
      anchors: posed anchors with `relief` and `face`.
      relief: as returned by `sketch_relief`.
      pose: of the head.
      light: of the image.

    Returns:
      light: float32 [3, size, size] to multiply albedos with, flat outside the face's box.
      shine: float32 [h, w] of the box, 0..1.
    """
    box = cover.box
    nx, ny = canvas.grid(box, anchors["face"][0], 0.27 * pose.scale, 0.44 * pose.scale)
    radius = nx * nx + ny * ny
    nz = np.sqrt(np.maximum(1.0 - 0.92 * np.minimum(radius, 1.0), 0.08))
    nx, ny = 0.9 * nx, 0.72 * ny
    _tilt(nx, ny, canvas, box, anchors["relief"], relief * (pose.scale * (0.4 + 0.6 * pose.narrowing), pose.scale, 1.0))
    lamp, shine = _lambert(nx, ny, nz, light)
    everywhere = np.empty((3, canvas.size, canvas.size), np.float32)
    everywhere[:] = light.ambient + 0.75 * light.key
    diffuse = np.maximum(lamp * (1.0 - _SKIN_WRAP) + _SKIN_WRAP, 0.0)
    everywhere[:, *box] = light.ambient * (1.1 - 0.35 * np.minimum(radius, 1.2)) + light.key * diffuse
    return everywhere, shine


def _tilt(nx, ny, canvas: Canvas, box, centres: np.ndarray, relief: np.ndarray) -> None:
    """Add the slopes of separable bumps (1 - u^2)^3 (1 - v^2)^3 to normals, in place."""
    profiles, spans = [], []
    for axis in (1, 0):
        at, radius = canvas.centres[box[axis]], relief[:, 1 - axis].astype(np.float32)
        u = (at - centres[:, 1 - axis].astype(np.float32)[:, None]) / radius[:, None]
        fade = np.maximum(1.0 - u * u, 0.0)
        profiles.append((u * fade * fade, fade * fade * fade))
        touched = fade > 0.0
        spans.append((touched.argmax(axis=1).tolist(), touched.sum(axis=1).tolist()))
    for k, steep in enumerate((3.0 * relief[:, 2]).astype(np.float32)):
        columns, rows = (slice(first[k], first[k] + count[k]) for first, count in spans)
        (slope_x, height_x), (slope_y, height_y) = (
            (slope[k, span], height[k, span]) for (slope, height), span in zip(profiles, (columns, rows), strict=True)
        )
        nx[rows, columns] += (steep * height_y)[:, None] * slope_x
        ny[rows, columns] += (steep * slope_y)[:, None] * height_x


def round_light(u: np.ndarray, v: np.ndarray, light: Light, wrap: float = 0.3) -> np.ndarray:
    """Return the light on a ball, float32 [3, h, w] (u, v in radii from its middle)."""
    nz = np.sqrt(np.maximum(1.0 - (u * u + v * v), 0.1))
    lamp, _ = _lambert(u, v, nz, light)
    return light.ambient + light.key * np.maximum(lamp * np.float32(1.0 - wrap) + np.float32(wrap), 0.0)


def _lambert(nx, ny, nz, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return (cosine to the lamp, a broad highlight), float32 like the normals, which need not be unit vectors."""
    lx, ly, lz = (np.float32(c) for c in light.direction)
    inverse = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz)
    lamp = (nx * lx + ny * ly + nz * lz) * inverse
    # Half-way vector between lamp and camera.
    hz = lz + np.float32(1.0)
    length = np.float32(1.0) / np.sqrt(lx * lx + ly * ly + hz * hz)
    shine = np.maximum((nx * lx + ny * ly + nz * hz) * inverse * length, 0.0)
    for _ in range(4):
        shine = shine * shine
    return lamp, shine
