"""The registry of systems: one module per paper, found by the config's `system` field."""

import importlib

from input_pipeline.errors import UserError, clipped
from l2s_jax.systems.contract import System

NAMES = ("latents2segments", "segface", "structure_via_consensus")


def build(config) -> System:
    """The system that `config.system` names, built for this config.

    Raises:
      UserError: no such system, or a config it cannot be built from.
    """
    system = _module(config.system).build(config)
    if config.data.smaller_first and not system.any_size:
        raise UserError(f"data.smaller_first must be []: {system.name} trains at one image size")
    return system


def default_config(name: str):
    """The model, loss and optimiser fields of the system called `name`, every one with a comment at its source."""
    return _module(name).default_config()


def ranges(name: str):
    """The ranges of the numbers among `default_config(name)` (see l2s_jax/schema.py)."""
    return _module(name).RANGES


def is_known(name: str) -> bool:
    """Whether there is a system called `name`."""
    return name in NAMES


def _module(name: str):
    if name not in NAMES:
        raise UserError(f"unknown system '{clipped(name)}'; there are: {', '.join(NAMES)}")
    return importlib.import_module(f"l2s_jax.systems.{name}")
