"""Painting of the body, of things worn, and of occluders."""

import numpy as np

from input_pipeline.synthetic.canvas import inside, soften, within
from input_pipeline.synthetic.factors import choice
from input_pipeline.synthetic.occluder import occluder_style
from input_pipeline.synthetic.palette import Palette, display
from input_pipeline.synthetic.raster import Cover
from input_pipeline.synthetic.scene import Scene
from input_pipeline.synthetic.shading import round_light
from input_pipeline.synthetic.worn import dark_lenses


def paint_body(scene: Scene) -> None:
    """Paint the neck with the shadow of the chin, clothes, necklace."""
    canvas, palette, covers, s = scene.canvas, scene.palette, scene.covers, scene.pose.scale
    (x, y), (side, _) = scene.anchors["neck"].tolist()
    neck = covers["neck"]
    u, v = canvas.grid(neck.box, (x, y), 1.25 * max(abs(side - x), 0.1 * s), 0.5 * s)
    light = round_light(u.clip(-0.9, 0.9), v.clip(-0.3, 0.5), palette.light, 0.4)
    canvas.paint(neck, (0.94 * palette.skin) * light, label="neck")
    canvas.tint(within(covers["tendons"], neck), palette.shade, 0.3)
    shadow = within(scene.glow("chin", 0.24, 0.13, dx=-0.05 * palette.light.direction[0], dy=0.01), neck)
    canvas.tint(Cover(shadow.box, np.minimum(1.6 * shadow.alpha, 1.0)), 0.8 * palette.shade, 0.8)
    _clothes(scene, (x, y + 0.28 * s))
    if "necklace" in covers:
        _metal(scene, "necklace", "neck_l", scene.anchors["pendant"][0])


def _clothes(scene: Scene, middle: tuple[float, float]) -> None:
    canvas, palette, covers, s = scene.canvas, scene.palette, scene.covers, scene.pose.scale
    cloth = covers["cloth"]
    u, v = canvas.grid(cloth.box, middle, 0.62 * s, 0.4 * s)
    light = round_light(u.clip(-0.9, 0.9), v.clip(-0.9, 0.3), palette.light)
    albedo = palette.cloth * (np.float32(0.86) + np.float32(0.28) * scene.noise("weave", cloth.box, 18))
    if choice(scene.factors["cloth_tone"] * 7.0 % 2.0 - 1.0, 4) == 0:
        stripe = v * np.float32(9.0)
        stripe = np.clip(np.abs(stripe - np.floor(stripe) - np.float32(0.5)) * 8.0 - 1.5, 0.0, 1.0)
        albedo += (np.float32(0.7) * stripe) * (palette.trim - albedo)
    canvas.paint(cloth, albedo * light, label="cloth")
    if "collar" in covers:
        collar = within(covers["collar"], Cover(cloth.box, np.ones_like(cloth.alpha)))
        edge = soften(collar, scene.pixels(0.006), (scene.pixels(0.008), 0), canvas.size)
        canvas.tint(within(edge, cloth), palette.shade, 0.6)
        canvas.paint(collar, palette.trim * light[:, *inside(collar.box, cloth.box)], label="cloth")
    canvas.tint(within(scene.glow("chin", 0.3, 0.12, dy=0.03), cloth), palette.shade, 0.5)


def paint_lenses(scene: Scene) -> None:
    """Paint clear glass under the eyes' layers, or dark glass over them."""
    if "lenses" not in scene.covers:
        return
    cover = scene.covers["lenses"]
    scene.canvas.mark(cover, "eye_g")
    if dark_lenses(scene.factors):
        fade = np.linspace(0.0, 1.0, cover.alpha.shape[0], dtype=np.float32)[:, None] * np.float32(0.05)
        scene.canvas.paint(cover, scene.palette.accent * 0.12 + fade, 0.94)
    else:
        scene.canvas.tint(cover, display(246, 250, 252), 0.7)


def paint_frames(scene: Scene) -> None:
    """Paint rims, bridge, arms and the glare of the glass."""
    if "frames" not in scene.covers:
        return
    canvas, covers, palette = scene.canvas, scene.covers, scene.palette
    color = 0.5 * palette.accent if scene.factors["accessory_hue"] < 0.4 else 0.7 * palette.metal
    scene.stain(
        soften(covers["frames"], scene.pixels(0.008), (scene.pixels(0.014), 0), canvas.size), palette.shade, 0.45
    )
    canvas.paint(within(covers["temples"], covers["skin"]), color, label="eye_g")
    canvas.paint(covers["frames"], scene.lit("frames", color), label="eye_g")
    canvas.paint(within(covers["glare"], covers["lenses"]), display(255, 255, 255), 0.13)


def paint_hat(scene: Scene) -> None:
    """Paint crown, band and visor."""
    canvas, palette, s = scene.canvas, scene.palette, scene.pose.scale
    x, y = scene.anchors["face"][0].tolist()
    for part, tone in (("hat", 1.0), ("band", 0.72), ("visor", 0.8)):
        if part not in scene.covers:
            continue
        cover = scene.covers[part]
        u, v = canvas.grid(cover.box, (x, y - 0.32 * s), 0.34 * s, 0.28 * s)
        light = round_light(u.clip(-0.95, 0.95), v.clip(-0.9, 0.6) * np.float32(0.8), palette.light)
        ribs = u * np.float32(14.0)
        ribs = np.abs(ribs - np.floor(ribs) - np.float32(0.5)) * np.float32(0.5 if part == "band" else 0.1)
        if part != "hat":
            edge = soften(cover, scene.pixels(0.01), (-scene.pixels(0.008), 0), canvas.size)
            canvas.tint(within(edge, scene.covers["hat"]), palette.shade, 0.6)
        canvas.paint(cover, (tone * palette.accent) * light * (np.float32(0.9) + ribs), label="hat")


def paint_earring(scene: Scene, name: str) -> None:
    """Paint a stud, hoop or drop."""
    if f"{name}_earring" in scene.covers:
        _metal(scene, f"{name}_earring", "ear_r", scene.anchors[f"{name}_earring"][0])


def paint_occluder(scene: Scene) -> None:
    """Paint a hand or an object in front of the face: background in the mask."""
    if "occluder" not in scene.anchors:
        return
    style = occluder_style(scene.factors)
    canvas, palette, size = scene.canvas, scene.palette, scene.canvas.size
    shift = (scene.pixels(0.012), round(-0.012 * palette.light.direction[0] * size))
    for part, color in _occluder_colors(style, palette).items():
        cover = scene.covers[part]
        canvas.tint(soften(cover, scene.pixels(0.01), shift, size), palette.shade, 0.45)
        middle = [0.5 * (span.start + span.stop) / size for span in reversed(cover.box)]
        u, v = canvas.grid(cover.box, middle, 0.13, 0.3)
        light = round_light(u.clip(-0.9, 0.9), v.clip(-0.9, 0.9), palette.light, 0.4)
        if style == "microphone" and part == "object_detail":
            mesh = u * np.float32(14.0) + v * np.float32(30.0)
            light *= np.float32(0.6) + np.abs(mesh - np.floor(mesh) - np.float32(0.5))
        canvas.paint(cover, color * light, label="background")
    if style == "hand":
        canvas.paint(scene.covers["nails"], 0.7 * palette.skin + np.float32(0.2), 0.6)


def _occluder_colors(style: str, palette: Palette) -> dict[str, np.ndarray]:
    """Return the albedo of each part, back to front."""
    if style == "hand":
        skin = palette.skin * (0.55 + 0.45 * palette.flush)
        return dict.fromkeys(("palm", "finger0", "finger1", "finger2", "finger3", "finger4"), skin)
    if style == "microphone":
        body, detail, dark = display(40, 40, 46), display(150, 152, 160), display(70, 70, 76)
    else:
        body, detail, dark = palette.accent, 0.5 * palette.accent + np.float32(0.3), 0.15 * palette.accent
    return {"object": body, "object_detail": detail, "object_dark": dark}


def _metal(scene: Scene, part: str, label: str, centre) -> None:
    """Paint a part as metal: bright towards the lamp, dark on the other side."""
    cover, s = scene.covers[part], scene.pose.scale
    u, v = scene.canvas.grid(cover.box, centre, 0.05 * s, 0.05 * s)
    lx, ly, _ = scene.palette.light.direction
    gleam = np.clip(np.float32(0.6) + np.float32(lx) * u + np.float32(ly) * v, 0.25, 1.4)
    scene.canvas.paint(cover, scene.palette.metal * gleam, label=label)
