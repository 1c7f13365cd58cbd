"""Painting of the wall behind the person."""

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import Canvas
from input_pipeline.synthetic.factors import choice
from input_pipeline.synthetic.fields import value_noise
from input_pipeline.synthetic.palette import Palette
from input_pipeline.synthetic.raster import Cover


def paint_backdrop(canvas: Canvas, palette: Palette, style: float, key: int) -> None:
    """Paint a gradient, and on it bokeh, stripes, clouds or a wall with a horizon, by the factor `style`."""
    size = canvas.size
    first, second = palette.backdrop
    dice = rng.uniforms(rng.fold(key, "backdrop"), 40)
    u, v = canvas.grid((slice(0, size), slice(0, size)), (0.5, 0.5), 0.7, 0.7)
    ramp = np.clip(np.float32(0.5) + np.float32(dice[0] - 0.5) * u + np.float32(0.5) * v, 0.0, 1.0)
    canvas.image[:] = first + ramp * (second - first)
    kind = choice(style, 5)
    if kind == 1:
        for x, y, radius, glow in dice[4:].reshape(-1, 4).tolist():
            blob = canvas.glow((1.1 * x - 0.05, 1.1 * y - 0.05), 0.06 + 0.14 * radius, 0.06 + 0.14 * radius)
            disc = Cover(blob.box, np.minimum(3.0 * blob.alpha, 1.0))
            canvas.paint(disc, (0.6 + glow) * second + np.float32(0.06), 0.45)
    # The lens darkens towards the corners, whatever the wall.
    tone = np.float32(1.04) - np.float32(0.16) * (u * u + v * v)
    if kind == 2:
        tilt_x, tilt_y, pitch = dice[1] - 0.5, dice[2] - 0.5, 8.0 + 10.0 * dice[3]
        phase = u * np.float32(tilt_x * pitch) + v * np.float32(tilt_y * pitch)
        wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * np.float32(4.0) - np.float32(0.5)
        tone *= np.float32(0.86) + np.float32(0.28) * wave.clip(0.0, 1.0)
    elif kind == 3:
        at = canvas.centres
        large, small = (value_noise(rng.fold(key, "clouds", cells), at, at, cells) for cells in (5, 14))
        tone *= np.float32(0.55) + np.float32(0.6) * large + np.float32(0.3) * small
    elif kind == 4:
        edge = np.clip((v - np.float32(0.6 * dice[1] - 0.2)) * np.float32(9.0), 0.0, 1.0)
        tone *= np.float32(1.0) - np.float32(0.45) * edge
    canvas.image *= tone
