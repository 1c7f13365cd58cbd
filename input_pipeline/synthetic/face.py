"""One face from (seed, index): sketch, pose, rasterise, paint, decide the mask."""

from collections.abc import Mapping

import numpy as np

from input_pipeline.errors import require
from input_pipeline.synthetic import body, hair, head, occluder, palette, pose, rng, shading, worn
from input_pipeline.synthetic.camera import develop
from input_pipeline.synthetic.canvas import Canvas
from input_pipeline.synthetic.factors import Factors, sample_factors
from input_pipeline.synthetic.paint_backdrop import paint_backdrop
from input_pipeline.synthetic.paint_face import (
    paint_beard,
    paint_brow,
    paint_ear,
    paint_eye,
    paint_mouth,
    paint_nose,
    paint_skin,
)
from input_pipeline.synthetic.paint_hair import hair_texture, paint_hair, shade_face
from input_pipeline.synthetic.paint_things import (
    paint_body,
    paint_earring,
    paint_frames,
    paint_hat,
    paint_lenses,
    paint_occluder,
)
from input_pipeline.synthetic.proportions import Proportions, measure
from input_pipeline.synthetic.raster import rasterise
from input_pipeline.synthetic.scene import Scene
from input_pipeline.synthetic.sketch import Sketch


def render(seed: int, index: int, size: int = 128, *, factors: Factors | None = None) -> dict[str, np.ndarray]:
    """Render a face with its mask, landmarks and factors.

    Everything is computed from counters (SplitMix64) and + - * / sqrt floor in a fixed order, which IEEE 754 rounds
    identically everywhere: the same arguments give the same bytes on every platform, in every process, in any order. No
    global generator is read or changed. The bytes may change from one version of this package to the next.

    Args:
      seed: of the stream of faces, any integer.
      index: of the face in the stream, any integer.
      size: side of the image in pixels, 16..4096.
      factors: draw this person and these attributes instead of `sample_factors(seed, index)`; the random texture
        (strands, noise, blobs) stays that of (seed, index), so that changing one factor changes one thing.

    Returns:
      image: uint8 [size, size, 3].
      mask: uint8 [size, size], ids of CELEBAMASK; per pixel the class with the largest visible area.
      landmarks: float32 [68, 2] (x, y) pixels, pixel centres at .5, iBUG-68 order; hidden points included, points
        outside the frame too.
      identity_factors: float32 [I], by IDENTITY_FACTORS.
      attribute_factors: float32 [A], by ATTRIBUTE_FACTORS.

    Raises:
      UserError: size outside 16..4096.
    """
    check_size(size)
    factors = sample_factors(seed, index) if factors is None else factors
    f = factors.named()
    key = rng.fold(seed, "texture", index)
    p = measure(f)
    style = hair.style(f, p) if f["bald"] <= 0 else None
    scene, shine = _set_up(f, p, style, key, size)
    _paint(scene, style, shine)
    return {
        "image": develop(scene.canvas.image, 0.012 + 0.008 * f["sensor_noise"], max(0.05 + 0.11 * f["blur"], 0.0), key),
        "mask": scene.canvas.mask(),
        "landmarks": head.landmarks(scene.anchors, size),
        "identity_factors": np.array(factors.identity, np.float32),
        "attribute_factors": np.array(factors.attributes, np.float32),
    }


def check_size(size: int) -> None:
    """Raise a UserError unless `size` is a side in pixels at which faces can be drawn."""
    require(16 <= size <= 4096, f"synthetic faces can be 16 to 4096 pixels large, not {size}")


def _set_up(
    f: Mapping[str, float], p: Proportions, style: hair.Style | None, key: int, size: int
) -> tuple[Scene, np.ndarray]:
    """Return the scene, sketched, posed, rasterised and lit but not painted, and the shine of the face."""
    sketch = Sketch()
    body.sketch_body(sketch, f)
    head.sketch_head(sketch, f, p)
    relief = shading.sketch_relief(sketch, p)
    if f["beard"] > 0 and f["masculinity"] > 0 and f["shaved"] <= 0:
        head.sketch_beard(sketch, p, f["beard"])
    if style is not None:
        hair.sketch_hair(sketch, p, style, key)
    if f["earrings"] > 0:
        worn.sketch_earrings(sketch, f, p)
    if f["glasses"] > 0:
        worn.sketch_glasses(sketch, f, p)
    if f["hat"] > 0:
        worn.sketch_hat(sketch, f, p, style.volume if style is not None else 0.0)
    if f["occluder"] > 0:
        occluder.sketch_occluder(sketch, f)

    camera, colors = pose.from_factors(f), palette.from_factors(f)
    drawing = sketch.pose(camera, samples=3 if size <= 96 else 4 if size <= 192 else 8)  # chords of about two pixels
    covers = rasterise(drawing, size)
    canvas = Canvas(size, camera.upright)
    light, shine = shading.skin_light(canvas, covers["skin"], drawing.anchors, relief, camera, colors.light)
    return Scene(canvas, covers, drawing.anchors, f, p, camera, colors, light, key), shine


def _paint(scene: Scene, style: hair.Style | None, shine: np.ndarray) -> None:
    """Paint all parts, back to front."""
    f, colors, covers = scene.factors, scene.palette, scene.covers
    near, far = ("l", "r") if scene.pose.near_side > 0 else ("r", "l")
    texture = hair_texture(scene, style) if style is not None else None

    paint_backdrop(scene.canvas, colors, f["background_style"], scene.key)
    paint_hair(scene, texture, "hair_back", darkness=0.5)
    paint_body(scene)
    paint_ear(scene, far)
    paint_earring(scene, far)
    paint_skin(scene, shine)
    paint_ear(scene, near)
    paint_nose(scene)
    paint_beard(scene)
    # Clear glass lies under the eyes' layers (published masks show the eyes through it), dark glass over them.
    if not worn.dark_lenses(f):
        paint_lenses(scene)
    for name in (far, near):
        paint_brow(scene, name)
        paint_eye(scene, name)
    paint_mouth(scene)
    if worn.dark_lenses(f):
        paint_lenses(scene)
    paint_frames(scene)
    shade_face(scene, ("hair_cap", "hair_fringe", "hair_locks"), 0.5)
    paint_hair(scene, texture, "hair_cap")
    if "parting" in covers:
        scene.canvas.tint(covers["parting"], colors.shade, 0.7)
    paint_hair(scene, texture, "hair_fringe")
    paint_hair(scene, texture, "hair_locks")
    shade_face(scene, ("visor", "band"), 0.7)
    paint_hat(scene)
    paint_earring(scene, near)
    paint_occluder(scene)
