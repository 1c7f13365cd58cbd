"""One face from (seed, index): sketch, pose, rasterise, paint, decide the mask."""

import numpy as np

from input_pipeline.synthetic import hair, head, occluder, outfit, paint_face, paint_hair, paint_scene, palette, pose, rng, shading
from input_pipeline.synthetic.canvas import Canvas
from input_pipeline.synthetic.factors import Factors, sample_factors
from input_pipeline.synthetic.proportions import measure
from input_pipeline.synthetic.raster import rasterise
from input_pipeline.synthetic.sketch import Sketch


def render(seed: int, index: int, size: int = 128, *, factors: Factors | None = None) -> dict[str, np.ndarray]:
    """A face with its mask, landmarks and factors."""
    factors = sample_factors(seed, index) if factors is None else factors
    f = factors.named()
    key = rng.fold(seed, "texture", index)
    p = measure(f)
    camera = pose.from_factors(f)
    colors = palette.from_factors(f)
    style = hair.style(f, p)

    sketch = Sketch()
    outfit.sketch_body(sketch, f, p)
    head.sketch_head(sketch, p)
    relief = shading.sketch_relief(sketch, p)
    if f["beard"] > 0 and f["masculinity"] > 0:
        head.sketch_beard(sketch, p, f["beard"])
    hair.sketch_hair(sketch, p, style, key)
    outfit.sketch_earrings(sketch, f, p)
    outfit.sketch_glasses(sketch, f, p)
    outfit.sketch_hat(sketch, f, p, 0.0 if style.bald else style.volume)
    occluder.sketch_occluder(sketch, f)
    drawing = sketch.pose(camera)

    covers = rasterise(drawing, size)
    canvas = Canvas(size, camera.upright)
    light, shine = shading.skin_light(
        canvas, covers["skin"], drawing.anchors, relief, camera.scale, camera.foreshortening(), colors.light
    )
    scene = paint_face.Scene(canvas, covers, drawing.anchors, f, p, camera, colors, light, key)
    near, far = ("l", "r") if camera.near_side > 0 else ("r", "l")

    paint_scene.paint_backdrop(canvas, colors, f["background_style"], key)
    texture = None if style.bald else paint_hair.hair_texture(scene, style)
    if texture is not None:
        paint_hair.paint_hair(scene, texture, "hair_back", darkness=0.5)
    paint_scene.paint_body(scene)
    paint_face.paint_ear(scene, far)
    paint_scene.paint_earring(scene, far)
    paint_face.paint_skin(scene, shine)
    paint_face.paint_ear(scene, near)
    paint_face.paint_nose(scene)
    if "beard" in covers:
        paint_face.paint_beard(scene, covers["skin"])
    worn, dark = "lenses" in covers, outfit.dark_lenses(f)
    if worn and not dark:
        paint_scene.paint_lenses(scene)
    for name in (far, near):
        paint_face.paint_brow(scene, name)
        paint_face.paint_eye(scene, name)
    paint_face.paint_mouth(scene)
    if worn and dark:
        paint_scene.paint_lenses(scene)
    if worn:
        paint_scene.paint_frames(scene)
    if texture is not None:
        paint_hair.shade_face(scene, ("hair_cap", "hair_fringe", "hair_locks"), 0.5)
        paint_hair.paint_hair(scene, texture, "hair_cap")
        if "parting" in covers:
            canvas.tint(covers["parting"], colors.shade, 0.7)
        paint_hair.paint_hair(scene, texture, "hair_fringe")
        paint_hair.paint_hair(scene, texture, "hair_locks")
    if "hat" in covers:
        paint_hair.shade_face(scene, ("visor" if "visor" in covers else "band",), 0.7)
        paint_scene.paint_hat(scene)
    paint_scene.paint_earring(scene, near)
    paint_scene.paint_occluder(scene)

    image = paint_scene.develop(canvas, 0.012 + 0.008 * f["sensor_noise"], max(0.05 + 0.11 * f["blur"], 0.0), key)
    return {
        "image": image,
        "mask": canvas.mask(),
        "landmarks": head.landmarks(drawing.anchors, size),
        "identity": np.array(factors.identity, np.float32),
        "attributes": np.array(factors.attributes, np.float32),
    }
