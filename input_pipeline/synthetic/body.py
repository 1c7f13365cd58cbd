"""Contours of neck, clothes and necklace."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from input_pipeline.synthetic.curves import ellipse, mirror, ribbon
from input_pipeline.synthetic.factors import choice
from input_pipeline.synthetic.pose import BODY
from input_pipeline.synthetic.sketch import Sketch


class _Cut(NamedTuple):
    """A neckline.

    Attributes:
      dip: y of its lowest point.
      top: y at the shoulder.
      reach: x at the shoulder, in half widths of the neck.
      bow: its roundness, 0.5 = straight.
      band: width of its hem.
    """

    dip: float
    top: float
    reach: float
    bow: float
    band: float


_CUTS = {
    "crew": _Cut(0.5, 0.42, 1.14, 0.3, 0.022),
    "vee": _Cut(0.595, 0.42, 1.1, 0.5, 0.022),
    "shirt": _Cut(0.555, 0.42, 1.05, 0.5, 0.0),
    "roll": _Cut(0.42, 0.385, 1.04, 0.5, 0.056),
    "wide": _Cut(0.54, 0.45, 1.55, 0.3, 0.0),
}


def sketch_body(sketch: Sketch, f: Mapping[str, float]) -> None:
    """Add `neck` with its `tendons`, `cloth` with its `collar`, and `necklace`."""
    broad = 1.0 + 0.1 * f["masculinity"]
    half = 0.162 * broad  # half width of the neck
    _neck(sketch, half)
    style = tuple(_CUTS)[choice(f["cloth_style"], len(_CUTS))]
    _clothes(sketch, _CUTS[style], half, broad)
    if style == "shirt":
        flap = [(1.0 * half, 0.395, 0.0), (0.62 * half, 0.465, 0.06), (0.06 * half, 0.55, 0.08),
                (0.55 * half, 0.595, 0.1), (1.25 * half, 0.5, 0.04), (1.22 * half, 0.425, 0.0)]  # fmt: skip
        for side in (1, -1):
            sketch.ring("collar", flap, BODY, side, smooth=False)
    if f["necklace"] > 0:
        _necklace(sketch, half, hang=0.455 + 0.05 * f["necklace"], width=0.0045 + 0.006 * max(f["accessory_hue"], 0.0))


def _neck(sketch: Sketch, half: float) -> None:
    neck = [(0.0, 0.1, 0.0), (half, 0.12, 0.0), (0.98 * half, 0.3, 0.0), (half, 0.4, 0.0), (1.3 * half, 0.465, 0.0),
            (0.4, 0.52, -0.02), (0.6, 0.62, -0.02), (0.62, 0.8, 0.0), (0.0, 0.8, 0.0)]  # fmt: skip
    sketch.ring("neck", mirror(neck), BODY)
    sketch.anchor("neck", [(0.0, 0.44, 0.05), (half, 0.44, 0.0)], BODY)
    tendon = [(0.8 * half, 0.33, 0.05), (0.5 * half, 0.43, 0.06), (0.16 * half, 0.52, 0.07)]
    collarbone = [(0.2 * half, 0.545, 0.07), (0.9 * half, 0.525, 0.05), (1.9 * half, 0.51, 0.0)]
    sketch.pair("tendons", ribbon(tendon, [0.001, 0.006, 0.002]), BODY)
    sketch.pair("tendons", ribbon(collarbone, [0.003, 0.006, 0.001]), BODY)


def _clothes(sketch: Sketch, cut: _Cut, half: float, broad: float) -> None:
    corner = cut.reach * half
    edge = [(0.0, cut.dip, 0.08), (0.5 * corner, cut.dip - cut.bow * (cut.dip - cut.top), 0.06), (corner, cut.top, 0.0)]
    slope = [(corner + 0.25 * half, cut.top + 0.012, -0.01), (max(0.28, 2.4 * half), 0.47, -0.02)]
    shoulder = [point for point in slope if point[0] > corner + 0.03]
    rest = [(0.43 * broad, 0.5, -0.02), (0.58 * broad, 0.6, -0.02), (0.62 * broad, 0.9, 0.0), (0.0, 0.9, 0.05)]
    sketch.ring("cloth", mirror(edge + shoulder + rest), BODY)
    if cut.band > 0.0:
        outer = [(x, y + cut.band, z) for x, y, z in edge]
        outer[-1] = (1.08 * corner, cut.top + cut.band, 0.0)
        sketch.ring("collar", mirror(edge + outer[::-1]), BODY)


def _necklace(sketch: Sketch, half: float, hang: float, width: float) -> None:
    t = np.linspace(-1.0, 1.0, 9)
    chain = np.stack([1.12 * half * t, hang - (hang - 0.385) * t * t * np.abs(t), 0.09 - 0.06 * t * t], axis=1)
    sketch.ring("necklace", ribbon(chain, np.full(9, width)), BODY)
    sketch.ring("necklace", ellipse(0.0, hang + 0.012, 0.015, 0.019, 0.09), BODY)
    sketch.anchor("pendant", (0.0, hang + 0.01, 0.09), BODY)
