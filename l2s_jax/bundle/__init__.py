"""Model bundles: the one folder that training exports and every command loads.

from l2s_jax import bundle
model = bundle.load(bundle.resolve("runs/demo"))
"""

from l2s_jax.bundle.meta import FORMAT, Meta, Preprocessing, safe_name
from l2s_jax.bundle.model import JSON_FILE, TENSOR_FILE, Bundle, fit, load, read_meta, rescore, save
from l2s_jax.bundle.provenance import provenance
from l2s_jax.bundle.search import DEFAULT_PARSER, FACE_DETECTOR, WORKDIR_MODEL, find_models, newest, resolve

__all__ = [
    "DEFAULT_PARSER",
    "FACE_DETECTOR",
    "FORMAT",
    "JSON_FILE",
    "TENSOR_FILE",
    "WORKDIR_MODEL",
    "Bundle",
    "Meta",
    "Preprocessing",
    "find_models",
    "fit",
    "load",
    "newest",
    "provenance",
    "read_meta",
    "rescore",
    "resolve",
    "safe_name",
    "save",
]
