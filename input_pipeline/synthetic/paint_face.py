"""Painting of the bare head: skin, ears, nose, eyes, brows, lips, beard."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.canvas import Canvas, soften, within
from input_pipeline.synthetic.fields import value_noise
from input_pipeline.synthetic.head import SIDES
from input_pipeline.synthetic.palette import Palette, display
from input_pipeline.synthetic.pose import Pose
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.raster import Cover

_BLACK = np.zeros((3, 1, 1), np.float32)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything the painters of one picture share.

    Attributes:
      canvas: where they paint.
      covers: coverage of every part of the drawing.
      anchors: posed points, image sides.
      factors: all factors by name.
      proportions, pose, palette: derived from them.
      light: float32 [3, size, size], light on the face.
      key: of the picture's random texture.
    """

    canvas: Canvas
    covers: Mapping[str, Cover]
    anchors: Mapping[str, np.ndarray]
    factors: Mapping[str, float]
    proportions: Proportions
    pose: Pose
    palette: Palette
    light: np.ndarray
    key: int

    def lit(self, part: str, albedo: np.ndarray) -> np.ndarray:
        """float32 [3, h, w]: an albedo in the light that falls on the part's box."""
        return albedo * self.light[:, *self.covers[part].box]

    def glow(self, anchor: str, rx: float, ry: float, *, dx: float = 0.0, dy: float = 0.0, row: int = 0) -> Cover:
        """A soft ellipse at an anchor; sizes and offsets in nominal image sides."""
        x, y = self.anchors[anchor][row]
        s = self.pose.scale
        return self.canvas.glow((x + s * dx, y + s * dy), s * rx, s * ry)


def paint_ear(scene: Scene, name: str) -> None:
    """One ear with its hollow."""
    palette, cover = scene.palette, scene.covers[f"{name}_ear"]
    flushed = palette.skin * (0.4 + 0.6 * palette.flush)
    scene.canvas.paint(cover, scene.lit(f"{name}_ear", flushed), label=f"{name}_ear")
    scene.canvas.tint(within(scene.covers[f"{name}_concha"], cover), palette.shade, 0.75)


def paint_skin(scene: Scene, shine: np.ndarray) -> None:
    """The face without its features: albedo, blood, freckles, light, shine, the folds."""
    canvas, palette, f = scene.canvas, scene.palette, scene.factors
    cover = scene.covers["skin"]
    rows, columns = _positions(cover, canvas.size)
    mottle = value_noise(rng.fold(scene.key, "mottle"), rows, columns, 24) - np.float32(0.5)
    albedo = palette.skin * (1.0 + np.float32(0.05) * mottle)
    if f["freckles"] > 0:
        spots = value_noise(rng.fold(scene.key, "freckles"), rows, columns, 60)
        middle = scene.canvas.glow(scene.anchors["nose"][2], 0.24 * scene.pose.scale, 0.13 * scene.pose.scale)
        local = tuple(slice(m.start - c.start, m.stop - c.start) for m, c in zip(within(middle, cover).box, cover.box, strict=True))
        depth = np.maximum(spots[local] - np.float32(0.62), 0.0) * within(middle, cover).alpha
        albedo[:, *local] *= 1.0 - depth * np.float32(1.3 * f["freckles"]) * np.array([0.6, 1.0, 1.1], np.float32)[:, None, None]
    gloss = np.float32(0.085 - 0.02 * f["melanin"])
    canvas.paint(cover, albedo * scene.light[:, *cover.box] + palette.light.key * (gloss * shine), label="skin")

    blush = 0.34 + 0.25 * (f["makeup"] if f["masculinity"] < 0 else 0.0) + 0.08 * max(scene.proportions.smile, 0.0)
    for name, _ in SIDES:
        _tint(scene, scene.glow(f"{name}_cheek", 0.1, 0.075, dy=0.01), palette.flush, blush)
        _tint(scene, scene.glow(f"{name}_eye_middle", 0.085, 0.05, dy=-0.022), palette.shade, 0.34)
        _tint(scene, scene.glow(f"{name}_eye_middle", 0.06, 0.03, dy=0.035), palette.shade, 0.13 + 0.12 * max(f["age"], 0.0))
    _tint(scene, scene.glow("mouth", 0.1, 0.03, dy=scene.proportions.lower_lip + scene.proportions.mouth_gap + 0.02),
          palette.shade, 0.28)  # fmt: skip
    canvas.tint(within(scene.covers["folds"], cover), palette.shade, 0.2 + 0.25 * max(scene.proportions.smile, 0.0) + 0.15 * max(f["age"], 0.0))


def paint_nose(scene: Scene) -> None:
    """Cast shadow, wings, nostrils, highlights; claims the nose for the mask."""
    canvas, palette, p = scene.canvas, scene.palette, scene.proportions
    face, nose = scene.covers["skin"], scene.covers["nose"]
    away = -palette.light.direction[0]
    _tint(scene, scene.glow("nose", 0.055, 0.036, row=6, dx=0.03 * away, dy=0.016), palette.shade, 0.8)
    _tint(scene, scene.glow("nose", 0.032, 0.09, row=2, dx=0.04 * (1 if away > 0 else -1), dy=-0.01), palette.shade, 0.1 + 0.5 * abs(away))
    _tint(scene, scene.glow("nose", 0.05, 0.04, row=3), palette.flush, 0.35)
    canvas.mark(within(nose, face), "nose")
    canvas.tint(within(scene.covers["wings"], face), palette.shade, 0.55)
    canvas.tint(within(scene.covers["nostrils"], face), palette.shade * 0.45, 0.9)
    toward = 0.012 * palette.light.direction[0]
    canvas.add(scene.glow("nose", 0.019, 0.017, row=3, dx=toward, dy=-0.007), palette.light.key * 0.15)
    canvas.add(scene.glow("nose", 0.012, 0.06, row=2, dx=toward, dy=-0.02), palette.light.key * 0.09)
    del p


def paint_brow(scene: Scene, name: str) -> None:
    """A brow of fine hairs."""
    cover = scene.covers[f"{name}_brow"]
    rows, columns = _positions(cover, scene.canvas.size)
    hairs = value_noise(rng.fold(scene.key, "brow"), rows, columns, 90)
    scene.canvas.paint(cover, scene.lit(f"{name}_brow", scene.palette.brow), np.float32(0.78) + np.float32(0.16) * hairs)
    scene.canvas.mark(cover, f"{name}_brow")


def paint_eye(scene: Scene, name: str) -> None:
    """White, iris, pupil, catch light, and the lines of the lids."""
    canvas, palette, covers = scene.canvas, scene.palette, scene.covers
    eye = covers[f"{name}_eye"]
    canvas.tint(within(covers[f"{name}_crease"], covers["skin"]), palette.shade, 0.7)
    bright = 0.35 + 0.65 * scene.light[:, *eye.box]
    canvas.paint(eye, display(244, 238, 234) * bright * 0.92, label=f"{name}_eye")
    r = scene.proportions.iris
    canvas.tint(within(scene.glow(f"{name}_iris", 3.2 * r, 0.9 * r, dy=-0.9 * r), eye), palette.shade, 0.75)
    iris = within(covers[f"{name}_iris"], eye)
    canvas.paint(iris, palette.iris * 0.22)
    canvas.paint(within(scene.glow(f"{name}_iris", 1.12 * r, 1.12 * r), iris), palette.iris * 0.85)
    canvas.add(within(scene.glow(f"{name}_iris", 0.8 * r, 0.62 * r, dy=0.42 * r), iris), palette.iris * 1.1)
    canvas.paint(within(covers[f"{name}_pupil"], eye), _BLACK + 0.004)
    side = 0.42 if palette.light.direction[0] > 0 else -0.42
    canvas.paint(within(scene.glow(f"{name}_iris", 0.42 * r, 0.42 * r, dx=side * r, dy=-0.4 * r), eye), display(255, 255, 255) * 1.1)
    canvas.paint(within(scene.glow(f"{name}_iris", 0.3 * r, 0.25 * r, dx=-side * r, dy=0.42 * r), eye), display(255, 255, 255), 0.4)
    lashes = 0.7 + (0.3 if scene.factors["masculinity"] < 0 else 0.0)
    canvas.paint(covers[f"{name}_lash"], scene.palette.brow * 0.22, lashes)
    canvas.tint(covers[f"{name}_lower_lid"], palette.shade, 0.55)


def paint_mouth(scene: Scene) -> None:
    """Cavity with teeth and tongue, the lips over it."""
    canvas, palette, covers = scene.canvas, scene.palette, scene.covers
    if "mouth" in covers:
        mouth = covers["mouth"]
        canvas.paint(mouth, scene.lit("mouth", display(92, 22, 26)), label="mouth")
        canvas.paint(within(scene.glow("tongue", 0.055, 0.026), mouth), scene.lit("mouth", display(196, 84, 88))[:, :1, :1], 0.9)
        teeth = within(covers["teeth"], mouth)
        canvas.paint(teeth, display(238, 232, 222) * scene.light[:, *teeth.box], 0.96)
        canvas.tint(within(scene.glow("mouth", 0.11, 0.012, dy=-0.006), mouth), palette.shade, 0.5)
    canvas.paint(covers["u_lip"], scene.lit("u_lip", palette.lips * 0.8), label="u_lip")
    canvas.paint(covers["l_lip"], scene.lit("l_lip", palette.lips), label="l_lip")
    p = scene.proportions
    wet = 0.12 + 0.2 * (scene.factors["makeup"] if scene.factors["masculinity"] < 0 else 0.0)
    shine = scene.glow("mouth", 0.042, 0.011, dx=0.02 * palette.light.direction[0], dy=0.9 * p.mouth_gap + 0.42 * p.lower_lip)
    canvas.add(within(shine, covers["l_lip"]), palette.light.key * wet)
    if "mouth" not in covers:
        canvas.tint(covers["seam"], palette.shade * 0.5, 0.85)


def paint_beard(scene: Scene, outline: Cover) -> None:
    """Stubble to full beard on jaw, chin and upper lip; it stays skin."""
    f, p = scene.factors, scene.proportions
    amount = f["beard"] if f["masculinity"] > 0 else 0.0
    if amount == 0.0:
        return
    canvas, cover = scene.canvas, scene.covers["beard"]
    cover = within(soften(cover, max(int(0.01 * canvas.size), 1), (0, 0), canvas.size), outline)
    rows, columns = _positions(cover, canvas.size)
    hairs = value_noise(rng.fold(scene.key, "beard"), rows, columns, 70)
    strength = np.float32(min(1.15 * amount, 0.93)) * (np.float32(1.0 - 0.35 * (1.2 - amount)) + np.float32(0.35) * hairs)
    soft = np.minimum(cover.alpha * strength, 1.0)
    canvas.paint(Cover(cover.box, soft), scene.palette.brow * (0.55 + 0.5 * hairs) * scene.light[:, *cover.box])
    del p


def _tint(scene: Scene, cover: Cover, color: np.ndarray, amount: float) -> None:
    """A stain that stays on the face."""
    scene.canvas.tint(within(cover, scene.covers["skin"]), color, amount)


def _positions(cover: Cover, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of the box's rows and columns, image sides."""
    return tuple((np.arange(b.start, b.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(size) for b in cover.box)
