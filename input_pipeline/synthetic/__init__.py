"""Procedural faces."""

from input_pipeline.synthetic.factors import ATTRIBUTE_FACTORS, IDENTITY_FACTORS, Factors, sample_factors
from input_pipeline.synthetic.face import render

__all__ = ["ATTRIBUTE_FACTORS", "IDENTITY_FACTORS", "Factors", "render", "sample_factors"]
