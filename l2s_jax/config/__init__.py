"""Experiment configs: every field in one place, files that change them, overrides from the command line.

A config is one locked `ml_collections.ConfigDict`. `base()` holds the fields that every run needs,
`systems.default_config` those of one system; `configs/NAME.py` merges and edits them in `get_config()`; overrides
`--config.a.b=v` are applied last. Whatever its origin, a config is validated against the defaults of its system, which
are its schema (schema.py).
"""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from l2s_jax.config.experiments import find, is_local, names, run, shipped, shipped_file
from l2s_jax.config.fields import MODES, PRECISIONS, RANGES, base, default, flatten, from_json, save, validate
from l2s_jax.config.overrides import override

__all__ = [
    "MODES",
    "PRECISIONS",
    "RANGES",
    "base",
    "default",
    "find",
    "flatten",
    "from_json",
    "is_local",
    "load",
    "names",
    "save",
    "shipped",
    "shipped_file",
    "validate",
]


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> ConfigDict:
    """Load the locked, validated config of an experiment.

    Args:
      name_or_path: NAME of configs/NAME.py, or the path of a .py file with `get_config()` or of a saved config.json.
      overrides: `a.b=v`, parsed by the type of the field they replace.

    Raises:
      UserError: no such experiment, unknown field, or a value of the wrong type or out of range.
    """
    path = find(name_or_path)
    config = from_json(path) if path.suffix == ".json" else run(path)
    for assignment in overrides:
        override(config, assignment)
    config = from_json(config.to_dict())
    validate(config)
    return config
