"""Part-aware face representation in JAX: face parsing and disentangled face autoencoders.

from l2s_jax import Editor, Parser, Parsing, load_model
"""

import importlib

__version__ = "0.1.0"
__all__ = ["Editor", "Parser", "Parsing", "load_model"]

_PLACES = {
    "Editor": "l2s_jax.inference.editor",
    "Parser": "l2s_jax.inference.parser",
    "Parsing": "l2s_jax.inference.parsing",
    "load_model": "l2s_jax.inference.model",
}
"""Imported when they are asked for: the command line begins here, and JAX takes a second."""


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)
