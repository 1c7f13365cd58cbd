"""Painting of everything around the head: backdrop, body, clothes, worn things, occluders; and the camera."""

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import Canvas, soften, within
from input_pipeline.synthetic.fields import value_noise
from input_pipeline.synthetic.occluder import occluder_style
from input_pipeline.synthetic.outfit import choice, dark_lenses
from input_pipeline.synthetic.paint_face import Scene
from input_pipeline.synthetic.palette import Palette, display
from input_pipeline.synthetic.raster import Cover
from input_pipeline.synthetic.shading import round_light


def paint_backdrop(canvas: Canvas, palette: Palette, style: float, key: int) -> None:
    """A gradient, and on it bokeh, stripes, clouds or a wall with a horizon."""
    size = canvas.size
    everything = (slice(0, size), slice(0, size))
    first, second = palette.backdrop
    spin = rng.uniforms(rng.fold(key, "backdrop"), 64)
    u, v = canvas.grid(everything, (0.5, 0.5), 0.7, 0.7)
    slope = np.float32(2.0 * spin[0] - 1.0)
    ramp = np.clip(np.float32(0.5) + np.float32(0.5) * (u * slope + v), 0.0, 1.0)
    canvas.image[:] = first + ramp * (second - first)
    kind = choice(style, 5)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    if kind == 1:
        for k in range(9):
            x, y, r, glow = spin[4 + 4 * k : 8 + 4 * k].tolist()
            blob = canvas.glow((1.1 * x - 0.05, 1.1 * y - 0.05), 0.06 + 0.14 * r, 0.06 + 0.14 * r)
            disc = Cover(blob.box, np.minimum(3.0 * blob.alpha, 1.0))
            canvas.paint(disc, second * (0.6 + glow) + 0.06, 0.45)
    elif kind == 2:
        phase = (u * np.float32(spin[1] - 0.5) + v * np.float32(spin[2] - 0.5)) * np.float32(8.0 + 10.0 * spin[3])
        wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * np.float32(4.0) - np.float32(0.5)
        canvas.image *= 0.86 + 0.28 * np.clip(wave, 0.0, 1.0)
    elif kind == 3:
        clouds = value_noise(rng.fold(key, "clouds"), at, at, 5) + np.float32(0.5) * value_noise(
            rng.fold(key, "clouds", 1), at, at, 14
        )
        canvas.image *= 0.55 + 0.6 * clouds
    elif kind == 4:
        edge = np.clip((v - np.float32(0.6 * spin[1] - 0.2)) * np.float32(9.0), 0.0, 1.0)
        canvas.image *= 1.0 - np.float32(0.45) * edge
    # The lens darkens towards the corners.
    canvas.image *= 1.04 - np.float32(0.16) * (u * u + v * v)


def paint_body(scene: Scene) -> None:
    """Neck with the shadow of the chin, clothes, necklace."""
    canvas, palette, covers, s = scene.canvas, scene.palette, scene.covers, scene.pose.scale
    neck, side = scene.anchors["neck"]
    width = max(abs(side[0] - neck[0]), 0.1 * s)
    cover = covers["neck"]
    u, v = canvas.grid(cover.box, neck, 1.25 * width, 0.5 * s)
    light = round_light(np.clip(u, -0.9, 0.9), np.clip(v, -0.3, 0.5), palette.light, 0.4)
    canvas.paint(cover, palette.skin * 0.94 * light, label="neck")
    canvas.tint(within(covers["tendons"], cover), palette.shade, 0.3)
    x, y = scene.anchors["chin"][0]
    lean = -0.05 * palette.light.direction[0] * s
    shadow = within(canvas.glow((x + lean, y + 0.01 * s), 0.24 * s, 0.13 * s), cover)
    canvas.tint(Cover(shadow.box, np.minimum(1.6 * shadow.alpha, 1.0)), palette.shade * 0.8, 0.8)

    cloth = covers["cloth"]
    rows = (np.arange(cloth.box[0].start, cloth.box[0].stop, dtype=np.float32) + np.float32(0.5)) / np.float32(canvas.size)
    columns = (np.arange(cloth.box[1].start, cloth.box[1].stop, dtype=np.float32) + np.float32(0.5)) / np.float32(canvas.size)
    weave = value_noise(rng.fold(scene.key, "weave"), rows * np.float32(0.5), columns, 22)
    u, v = canvas.grid(cloth.box, (neck[0], neck[1] + 0.28 * s), 0.62 * s, 0.4 * s)
    light = round_light(np.clip(u, -0.9, 0.9), np.clip(v, -0.9, 0.3), palette.light)
    pattern = choice(scene.factors["cloth_hue"] * 7.0 % 2.0 - 1.0, 4)
    albedo = palette.cloth * (np.float32(0.86) + np.float32(0.28) * weave)
    if pattern == 0:
        stripe = np.clip(np.abs((v * 9.0) % 1.0 - np.float32(0.5)) * 8.0 - 1.5, 0.0, 1.0).astype(np.float32)
        albedo = albedo + stripe * (palette.trim - albedo) * np.float32(0.7)
    below = soften(covers["skin"], max(int(0.016 * canvas.size), 1), (round(0.05 * s * canvas.size), 0), canvas.size)
    canvas.paint(cloth, albedo * light, label="cloth")
    if "collar" in covers:
        collar = within(covers["collar"], Cover(cloth.box, np.ones_like(cloth.alpha)))
        edge = soften(collar, max(int(0.006 * canvas.size), 1), (max(round(0.008 * canvas.size), 1), 0), canvas.size)
        canvas.tint(within(edge, cloth), palette.shade, 0.6)
        local = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(collar.box, cloth.box, strict=True))
        canvas.paint(collar, palette.trim * light[:, *local], label="cloth")
    canvas.tint(within(below, cloth), palette.shade, 0.5)
    if "necklace" in covers:
        _metal(scene, "necklace", "neck_l", scene.anchors["pendant"][0])


def paint_lenses(scene: Scene) -> None:
    """Clear glass under the eyes' layers, or dark glass over them."""
    cover = scene.covers["lenses"]
    scene.canvas.mark(cover, "eye_g")
    if dark_lenses(scene.factors):
        fade = np.linspace(0.0, 1.0, cover.alpha.shape[0], dtype=np.float32)[:, None] * np.float32(0.05)
        scene.canvas.paint(cover, scene.palette.accent * 0.12 + fade, 0.94)
    else:
        scene.canvas.tint(cover, display(246, 250, 252), 0.7)


def paint_frames(scene: Scene) -> None:
    """Rims, bridge, arms and the glare of the glass."""
    canvas, covers, palette = scene.canvas, scene.covers, scene.palette
    color = palette.accent * 0.5 if scene.factors["accessory_hue"] < 0.4 else palette.metal * 0.7
    shadow = soften(covers["frames"], max(canvas.size // 128, 1), (max(round(0.014 * canvas.size), 1), 0), canvas.size)
    canvas.tint(within(shadow, covers["skin"]), palette.shade, 0.45)
    canvas.paint(within(covers["temples"], covers["skin"]), scene.lit("skin", color)[:, :1, :1], 0.95)
    canvas.mark(within(covers["temples"], covers["skin"]), "eye_g")
    canvas.paint(covers["frames"], scene.lit("frames", color), label="eye_g")
    canvas.paint(within(covers["glare"], covers["lenses"]), display(255, 255, 255), 0.13)


def paint_hat(scene: Scene) -> None:
    """Crown, band and visor."""
    canvas, palette, s = scene.canvas, scene.palette, scene.pose.scale
    middle, low = scene.anchors["hat"]
    for part, color in (("hat", palette.accent), ("band", 0.72 * palette.accent), ("visor", 0.82 * palette.accent)):
        if part not in scene.covers:
            continue
        cover = scene.covers[part]
        u, v = canvas.grid(cover.box, middle, 0.34 * s, 0.28 * s)
        light = round_light(np.clip(u, -0.95, 0.95), np.clip(v, -0.9, 0.6) * np.float32(0.8), palette.light)
        ribs = np.abs((u * 14.0) % 1.0 - np.float32(0.5)).astype(np.float32)
        texture = np.float32(0.8) + np.float32(0.5) * ribs if part == "band" else np.float32(1.0) + np.float32(0.1) * ribs
        if part != "hat":
            edge = soften(cover, max(canvas.size // 96, 1), (-max(round(0.008 * canvas.size), 1), 0), canvas.size)
            canvas.tint(within(edge, scene.covers["hat"]), palette.shade, 0.6)
        canvas.paint(cover, color * light * texture, label="hat")
    del low


def paint_earring(scene: Scene, name: str) -> None:
    """A stud, hoop or drop."""
    if f"{name}_earring" in scene.covers:
        _metal(scene, f"{name}_earring", "ear_r", scene.anchors[f"{name}_earring"][0])


def paint_occluder(scene: Scene) -> None:
    """A hand or an object before the face: background in the mask."""
    style = occluder_style(scene.factors)
    if style is None:
        return
    canvas, palette, covers, size = scene.canvas, scene.palette, scene.covers, scene.canvas.size
    x, y = scene.anchors["occluder"][0]
    parts = ("palm", "finger0", "finger1", "finger2", "finger3", "finger4") if style == "hand" else ("object", "object_detail", "object_dark")
    colors = {"object": palette.accent, "object_detail": palette.accent * 0.5 + 0.3, "object_dark": palette.accent * 0.15}
    if style == "microphone":
        colors = {"object": display(40, 40, 46), "object_detail": display(150, 152, 160), "object_dark": display(70, 70, 76)}
    for part in parts:
        cover = covers[part]
        if not cover.alpha.size:
            continue
        shadow = soften(cover, max(size // 96, 1), (round(0.012 * size), round(-0.012 * palette.light.direction[0] * size)), size)
        canvas.tint(shadow, palette.shade, 0.45)
        rows, columns = (b.start / size + 0.5 * (b.stop - b.start) / size for b in cover.box)
        u, v = canvas.grid(cover.box, (columns, rows), 0.12 if style == "hand" else 0.14, 0.3)
        light = round_light(np.clip(u, -0.9, 0.9), np.clip(v, -0.9, 0.9), palette.light, 0.4)
        color = palette.skin * (0.55 + 0.45 * palette.flush) if style == "hand" else colors[part]
        if part == "object_detail" and style == "microphone":
            mesh = np.abs((u * 16.0 + v * 30.0) % 1.0 - 0.5).astype(np.float32)
            light = light * (0.6 + mesh)
        canvas.paint(cover, color * light, label="background")
    if style == "hand":
        canvas.paint(covers["nails"], palette.skin * 0.7 + 0.22, 0.6)
    del x, y


def develop(canvas: Canvas, noise: float, blur: float, key: int) -> np.ndarray:
    """uint8 [size, size, 3]: lens blur, display curve, sensor noise.

    Args:
      noise: standard deviation, display units 0..1. Shot noise grows with the root of the light, so on the root of the
        light (the display value) it is even.
      blur: 0 sharp .. 0.25 of each neighbour mixed in.
    """
    light = canvas.image
    if blur > 0.01:
        side = np.float32(blur)
        for axis in (1, 2):
            padded = np.concatenate([_edge(light, axis, 0), light, _edge(light, axis, -1)], axis=axis)
            n = light.shape[axis]
            before = padded[:, :n] if axis == 1 else padded[:, :, :n]
            after = padded[:, 2:] if axis == 1 else padded[:, :, 2:]
            light = light + side * (before + after - 2.0 * light)
    value = np.sqrt(np.maximum(light, 0.0))
    # A soft shoulder instead of clipped highlights.
    value = np.where(value > 0.8, 1.0 - 0.04 / np.maximum(value - 0.6, 0.04), value)
    value += np.float32(noise) * rng.grain(rng.fold(key, "sensor"), value.shape)
    return np.clip(value * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8).transpose(1, 2, 0).copy()


def _edge(light: np.ndarray, axis: int, at: int) -> np.ndarray:
    return np.expand_dims(np.take(light, at, axis=axis), axis)


def _metal(scene: Scene, part: str, label: str, centre) -> None:
    """Shiny: bright towards the lamp, dark on the other side."""
    cover, s = scene.covers[part], scene.pose.scale
    u, v = scene.canvas.grid(cover.box, centre, 0.05 * s, 0.05 * s)
    lx, ly, _ = scene.palette.light.direction
    gleam = np.clip(np.float32(0.6) + np.float32(lx) * u + np.float32(ly) * v, 0.25, 1.4)
    scene.canvas.paint(cover, scene.palette.metal * gleam, label=label)
