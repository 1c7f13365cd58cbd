"""Painting of the bare head: ears, skin, nose, brows, eyes, mouth, beard."""

import numpy as np

from input_pipeline.synthetic.canvas import inside, soften, within
from input_pipeline.synthetic.palette import display, linear, rouge
from input_pipeline.synthetic.raster import Cover
from input_pipeline.synthetic.scene import Scene
from input_pipeline.synthetic.sketch import SIDES

_WHITE, _BLACK = display(255, 255, 255), display(8, 8, 10)
_SCLERA, _TEETH, _CAVITY, _TONGUE = (
    display(240, 234, 230),
    display(238, 232, 222),
    display(92, 22, 26),
    display(196, 84, 88),
)
_FRECKLE = linear(0.6, 1.0, 1.1)
_MOLE = linear(0.2, 0.13, 0.11)  # a multiplier of skin


def paint_ear(scene: Scene, name: str) -> None:
    """Paint one ear with its hollow."""
    part, palette = f"{name}_ear", scene.palette
    scene.canvas.paint(scene.covers[part], scene.lit(part, palette.skin * (0.4 + 0.6 * palette.flush)), label=part)
    scene.canvas.tint(within(scene.covers[f"{name}_concha"], scene.covers[part]), palette.shade, 0.75)


def paint_skin(scene: Scene, shine: np.ndarray) -> None:
    """Paint the face without its features: albedo, freckles, light, shine; blood, hollows, folds."""
    canvas, palette, f, p = scene.canvas, scene.palette, scene.factors, scene.proportions
    cover = scene.covers["skin"]
    albedo = palette.skin * (np.float32(0.975) + np.float32(0.05) * scene.noise("mottle", cover.box, 24))
    if f["freckles"] > 0:
        patch = within(scene.glow("nose", 0.24, 0.13, row=2), cover)
        spots = np.maximum(scene.noise("freckles", patch.box, 60) - np.float32(0.62), 0.0) * patch.alpha
        albedo[:, *inside(patch.box, cover.box)] *= 1.0 - spots * np.float32(1.3 * f["freckles"]) * _FRECKLE
    gloss = palette.light.key * np.float32(0.085 - 0.02 * f["melanin"])
    canvas.paint(cover, albedo * scene.light[:, *cover.box] + gloss * shine, label="skin")

    old, glad = max(f["age"], 0.0), max(p.smile, 0.0)
    for name, _ in SIDES:
        scene.stain(
            scene.glow(f"{name}_cheek", 0.1, 0.075, dy=0.01), palette.flush, 0.34 + 0.25 * rouge(f) + 0.08 * glad
        )
        deep, bags = 0.34 + 0.1 * f["eye_depth"], max(0.13 + 0.12 * old + 0.08 * f["eye_bags"], 0.0)
        scene.stain(scene.glow(f"{name}_socket", 0.085, 0.05, dy=-0.022), palette.shade, deep)
        scene.stain(scene.glow(f"{name}_socket", 0.06, 0.03, dy=0.035), palette.shade, bags)
    canvas.tint(scene.glow("mouth", 0.1, 0.03, dy=p.lower_lip + p.mouth_gap + 0.02), palette.shade, 0.28)
    scene.stain(scene.covers["folds"], palette.shade, 0.2 + 0.25 * glad + 0.15 * old)
    for name in ("mole", "second_mole"):
        if f[name] > 0:
            radius = 0.009 + 0.007 * f[name]
            scene.stain(scene.glow(name, radius, radius), _MOLE, 1.0)


def paint_nose(scene: Scene) -> None:
    """Paint the nose: cast shadow, wings, nostrils, highlights; claim it for the mask."""
    canvas, palette, lamp = scene.canvas, scene.palette, scene.palette.light.direction[0]
    away = -1.0 if lamp > 0 else 1.0
    canvas.tint(scene.glow("nose", 0.055, 0.036, dx=-0.03 * lamp, dy=0.016, row=6), palette.shade, 0.8)
    scene.stain(
        scene.glow("nose", 0.034, 0.09, dx=0.042 * away, dy=-0.01, row=2), palette.shade, 0.12 + 0.55 * abs(lamp)
    )
    canvas.tint(scene.glow("nose", 0.05, 0.04, row=3), palette.flush, 0.35)
    canvas.mark(within(scene.covers["nose"], scene.covers["skin"]), "nose")
    canvas.tint(scene.covers["wings"], palette.shade, 0.55)
    canvas.tint(scene.covers["nostrils"], 0.45 * palette.shade, 0.9)
    canvas.add(scene.glow("nose", 0.019, 0.017, dx=0.012 * lamp, dy=-0.007, row=3), 0.15 * palette.light.key)
    canvas.add(scene.glow("nose", 0.012, 0.06, dx=0.012 * lamp, dy=-0.02, row=2), 0.09 * palette.light.key)


def paint_brow(scene: Scene, name: str) -> None:
    """Paint a brow of fine hairs."""
    part = f"{name}_brow"
    cover = scene.covers[part]
    density = np.float32(0.78) + np.float32(0.16) * scene.noise("brow", cover.box, 90)
    scene.canvas.paint(cover, scene.lit(part, scene.palette.brow), density, label=part)


def paint_eye(scene: Scene, name: str) -> None:
    """Paint an eye: white, iris, pupil, catch light, and the lines of the lids."""
    canvas, palette, covers = scene.canvas, scene.palette, scene.covers
    part, pupil = f"{name}_eye", f"{name}_iris"
    eye, r = covers[part], scene.proportions.iris
    scene.stain(covers[f"{name}_crease"], palette.shade, 0.7)
    canvas.paint(eye, _SCLERA * (0.32 + 0.6 * scene.light[:, *eye.box]), label=part)
    canvas.tint(within(scene.glow(pupil, 3.2 * r, 0.9 * r, dy=-0.9 * r), eye), palette.shade, 0.75)  # shadow of the lid
    iris = within(covers[pupil], eye)
    canvas.paint(iris, 0.22 * palette.iris)  # the dark ring stays at its border
    canvas.paint(within(scene.glow(pupil, 1.12 * r, 1.12 * r), iris), 0.85 * palette.iris)
    canvas.add(within(scene.glow(pupil, 0.8 * r, 0.62 * r, dy=0.42 * r), iris), 1.1 * palette.iris)
    canvas.paint(within(covers[f"{name}_pupil"], eye), _BLACK)
    side = 0.42 * r if palette.light.direction[0] > 0 else -0.42 * r
    canvas.paint(within(scene.glow(pupil, 0.42 * r, 0.42 * r, dx=side, dy=-0.4 * r), eye), 1.1 * _WHITE)
    canvas.paint(within(scene.glow(pupil, 0.3 * r, 0.25 * r, dx=-side, dy=0.42 * r), eye), _WHITE, 0.4)
    canvas.paint(covers[f"{name}_lash"], 0.22 * palette.brow, 1.0 if scene.factors["masculinity"] < 0 else 0.7)
    canvas.tint(covers[f"{name}_lower_lid"], palette.shade, 0.55)


def paint_mouth(scene: Scene) -> None:
    """Paint the mouth: cavity with teeth and tongue, the lips over it."""
    canvas, palette, covers, p = scene.canvas, scene.palette, scene.covers, scene.proportions
    if "mouth" in covers:
        mouth = covers["mouth"]
        canvas.paint(mouth, scene.lit("mouth", _CAVITY), label="mouth")
        tongue = within(scene.glow("tongue", 0.055, 0.026), mouth)
        canvas.paint(tongue, _TONGUE * scene.light[:, *tongue.box], 0.9)
        teeth = within(covers["teeth"], mouth)
        canvas.paint(teeth, _TEETH * scene.light[:, *teeth.box], 0.96)
        canvas.tint(within(scene.glow("mouth", 0.11, 0.012, dy=-0.006), mouth), palette.shade, 0.5)
    canvas.paint(covers["u_lip"], scene.lit("u_lip", 0.8 * palette.lips), label="u_lip")
    canvas.paint(covers["l_lip"], scene.lit("l_lip", palette.lips), label="l_lip")
    lamp = palette.light.direction[0]
    wet = scene.glow("mouth", 0.042, 0.012, dx=0.02 * lamp, dy=0.9 * p.mouth_gap + 0.42 * p.lower_lip)
    canvas.add(within(wet, covers["l_lip"]), palette.light.key * (0.12 + 0.2 * rouge(scene.factors)))
    if "mouth" not in covers:
        canvas.tint(covers["seam"], 0.5 * palette.shade, 0.85)


def paint_beard(scene: Scene) -> None:
    """Paint stubble to full beard on jaw, chin and upper lip, if the face has one; its class stays skin."""
    if "beard" not in scene.covers:
        return
    canvas, amount = scene.canvas, scene.factors["beard"]
    cover = soften(scene.covers["beard"], scene.pixels(0.01), (0, 0), canvas.size)
    cover = within(cover, scene.covers["skin"])
    hairs = scene.noise("beard", cover.box, 70)
    density = min(1.15 * amount, 0.93) * (0.58 + 0.35 * amount)
    soft = np.minimum(cover.alpha * (np.float32(density) + np.float32(0.33 * amount) * hairs), 1.0)
    canvas.paint(Cover(cover.box, soft), scene.palette.brow * (0.55 + 0.5 * hairs) * scene.light[:, *cover.box])
