"""Procedural faces with exact masks, landmarks and factors, for built-in data and experiments with known ground truth.

    face = render(seed=0, index=7, size=128)          # image, mask, landmarks, factors
    who = sample_factors(0, 7)                        # its factors
    smiling = render(0, 7, factors=who.replace(smile=2.0))
    source = SyntheticSource(count=1000, size=128, seed=0, split="val")

Pipeline: factors -> proportions -> contours in head coordinates (head, hair, outfit, occluder) -> posed and projected
(pose, sketch) -> exact area coverage (raster) -> painted back to front in linear light (canvas, shading, paint_*) ->
the mask from the same coverages, and the camera. numpy only, about a hundred faces a second and core at 128 pixels;
see `render` for the guarantees about determinism.
"""

from input_pipeline.synthetic.face import render
from input_pipeline.synthetic.factors import ATTRIBUTE_FACTORS, IDENTITY_FACTORS, Factors, sample_factors
from input_pipeline.synthetic.source import SyntheticSource

__all__ = ["ATTRIBUTE_FACTORS", "IDENTITY_FACTORS", "Factors", "SyntheticSource", "render", "sample_factors"]
