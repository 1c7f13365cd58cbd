"""Painting of hair: strands that follow the skull, a band of shine, shadow on the face."""

import dataclasses

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import inside, soften
from input_pipeline.synthetic.fields import strand_table, strands
from input_pipeline.synthetic.hair import Style
from input_pipeline.synthetic.scene import Scene
from input_pipeline.synthetic.shading import round_light


@dataclasses.dataclass(frozen=True)
class Texture:
    """The hair texture of the entire image, from which the parts cut their shape.

    Attributes:
      box: the pixels that may be hair.
      color: float32 [3, h, w] lit colour.
    """

    box: tuple[slice, slice]
    color: np.ndarray


def hair_texture(scene: Scene, style: Style) -> Texture:
    """Return the texture of the hair: strands, clumps, shine and light."""
    canvas, palette, s = scene.canvas, scene.palette, scene.pose.scale
    covers = [c for name, c in scene.covers.items() if name.startswith("hair_")]
    box = tuple(
        slice(min(s.start for s in spans), max(s.stop for s in spans))
        for spans in zip(*(c.box for c in covers), strict=True)
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
        texture = texture + np.float32(0.9 * style.curl) * (scene.noise("clumps", box, 26) - np.float32(0.5))
    radius = u * u + v * v
    band = np.maximum(1.0 - np.square((radius - np.float32(0.62)) * np.float32(3.2)), 0.0) * np.maximum(-v, 0.0)
    lamp = np.float32(palette.light.direction[0])
    gloss = (
        band
        * band
        * np.maximum(1.0 + 0.8 * lamp * u, 0.2)
        * (np.float32(0.7) + coarse)
        * np.float32(0.55 - 0.3 * style.curl)
    )
    light = round_light(u.clip(-0.95, 0.95) * np.float32(0.85), v.clip(-0.9, 0.5) * np.float32(0.8), palette.light)
    color = palette.hair * (1.0 + texture) * light
    color += (0.16 * palette.light.key + 0.5 * palette.hair) * np.maximum(gloss, 0.0)
    return Texture(box, color)


def paint_hair(scene: Scene, texture: Texture | None, part: str, darkness: float = 0.0) -> None:
    """Paint one part of the hair, if the style has it."""
    if texture is None or part not in scene.covers:
        return
    cover = scene.covers[part]
    color = texture.color[:, *inside(cover.box, texture.box)]
    scene.canvas.paint(cover, color * np.float32(1.0 - darkness) if darkness else color, label="hair")


def shade_face(scene: Scene, parts: tuple[str, ...], amount: float) -> None:
    """Paint the soft shadow that hair or a hat casts on the skin."""
    size = scene.canvas.size
    shift = (scene.pixels(0.022), round(-0.016 * scene.palette.light.direction[0] * size))
    for part in parts:
        if part in scene.covers:
            scene.stain(soften(scene.covers[part], scene.pixels(0.016), shift, size), scene.palette.shade, amount)
