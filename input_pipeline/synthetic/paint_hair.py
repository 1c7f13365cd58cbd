"""Painting of hair: strands that follow the skull, a band of shine, shadow on the face."""

import dataclasses

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import soften, within
from input_pipeline.synthetic.fields import strand_table, strands, value_noise
from input_pipeline.synthetic.hair import Style
from input_pipeline.synthetic.paint_face import Scene
from input_pipeline.synthetic.shading import round_light


@dataclasses.dataclass(frozen=True)
class Texture:
    """The hair of a whole picture; the parts cut their shape out of it.

    Attributes:
      box: the pixels that may be hair.
      color: float32 [3, h, w] lit colour.
    """

    box: tuple[slice, slice]
    color: np.ndarray


def hair_texture(scene: Scene, style: Style) -> Texture:
    """Strands, clumps, shine and light of the hair."""
    canvas, palette, s = scene.canvas, scene.palette, scene.pose.scale
    covers = [c for name, c in scene.covers.items() if name.startswith("hair_")]
    box = tuple(
        slice(min(c.box[axis].start for c in covers), max(c.box[axis].stop for c in covers)) for axis in (0, 1)
    )
    key = rng.fold(scene.key, "strands")
    middle = scene.anchors["face"][0]
    u, v = canvas.grid(box, (middle[0], middle[1] - 0.09 * s), 0.31 * s, 0.4 * s)
    # Strands run along meridians from the crown, then straight down.
    above = np.minimum(v, 0.0)
    part = np.float32((scene.anchors["crown"][0, 0] - middle[0]) / (0.31 * s))
    meridian = (u - part * np.minimum(v * v, 1.0)) / np.sqrt(np.maximum(1.05 - above * above, 0.08))
    wave = np.float32(0.02 + 0.1 * style.curl)
    table = strand_table(key)
    meridian = meridian + wave * strands(table, v * np.float32(3.0 + 6.0 * style.curl) + np.float32(2.0) * u)
    coarse = strands(table, meridian * np.float32(11.0))
    fine = strands(table[::-1], meridian * np.float32(37.0) + v)
    texture = np.float32(0.2) * coarse + np.float32(0.16) * fine
    if style.curl > 0.2:
        rows, columns = (
            (np.arange(b.start, b.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(canvas.size) for b in box
        )
        clumps = value_noise(rng.fold(key, "clumps"), rows, columns, 26) - np.float32(0.5)
        texture = texture + np.float32(0.9 * style.curl) * clumps
    radius = u * u + v * v
    band = np.maximum(1.0 - np.square((radius - np.float32(0.62)) * np.float32(3.2)), 0.0) * np.maximum(-v, 0.0)
    lamp = np.float32(palette.light.direction[0])
    gloss = band * band * np.maximum(1.0 + 0.8 * lamp * u, 0.2) * (np.float32(0.7) + coarse) * np.float32(0.55 - 0.3 * style.curl)
    light = round_light(np.clip(u, -0.95, 0.95) * np.float32(0.85), np.clip(v, -0.9, 0.5) * np.float32(0.8), palette.light)
    color = palette.hair * (1.0 + texture) * light
    color += (0.16 * palette.light.key + 0.5 * palette.hair) * np.maximum(gloss, 0.0)
    return Texture(box, color)


def paint_hair(scene: Scene, texture: Texture, part: str, darkness: float = 0.0) -> None:
    """One part of the hair, if the style has it."""
    if part not in scene.covers:
        return
    cover = scene.covers[part]
    local = tuple(slice(b.start - t.start, b.stop - t.start) for b, t in zip(cover.box, texture.box, strict=True))
    scene.canvas.paint(cover, texture.color[:, *local] * np.float32(1.0 - darkness), label="hair")


def shade_face(scene: Scene, parts: tuple[str, ...], amount: float) -> None:
    """The soft shadow that hair or a hat drops on the skin."""
    size, s = scene.canvas.size, scene.pose.scale
    radius = max(int(0.012 * s * size), 1)
    x = -scene.palette.light.direction[0]
    shift = (round(0.02 * s * size), round(0.016 * x * s * size))
    for part in parts:
        if part in scene.covers and scene.covers[part].alpha.size:
            shadow = within(soften(scene.covers[part], radius, shift, size), scene.covers["skin"])
            scene.canvas.tint(shadow, scene.palette.shade, amount)
