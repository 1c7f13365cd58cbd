"""The registry of systems: one package per method, selected by the config's `system` field.

A system is a package with the modules

    config.py      `default_config() -> ConfigDict` and `RANGES`, the values they may have (l2s_jax/schema.py)
    system.py      `build(config) -> System`
    published.py   optional: `PUBLISHED`, the authors' weights and scores (systems/base.py)
    convert.py     if there are published weights: `read(state, head, config) -> Converted`

Packages in this folder that have a `system.py` are registered automatically; other distributions register theirs as an
entry point of the group `l2s_jax.systems`, NAME = PACKAGE (docs/new_system.md). No system is imported before it is
requested.
"""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from input_pipeline.errors import clipped, require
from input_pipeline.labels import LabelSet
from l2s_jax import schema
from l2s_jax.schema import Ranges
from l2s_jax.systems.base import ActivenessTable, Published, Reader, Result, nearest_result

GROUP = "l2s_jax.systems"


def packages() -> dict[str, str]:
    """Return the import path of every system's package by the name of the system, in alphabetical order."""
    others = {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}
    return dict(sorted((others | _own()).items()))


def _own() -> dict[str, str]:
    """Return those of this folder, without the search through all installed distributions."""
    packages = (module for module in pkgutil.iter_modules(__path__) if module.ispkg)
    return {
        package.name: f"{__name__}.{package.name}"
        for package in packages
        if Path(package.module_finder.path, package.name, "system.py").is_file()
    }


def names() -> tuple[str, ...]:
    """Return the names of all systems, in alphabetical order."""
    return tuple(packages())


def build(config: ConfigDict):
    """Build the `l2s_jax.types.System` that `config.system` names (this imports JAX; the registry itself does not).

    Raises:
      UserError: no such system, or a config it cannot be built from.
    """
    schema.check(config, ranges(config.system))
    system = _module(config.system, "system").build(config)
    require(
        system.any_size or not config.data.resolution_schedule,
        f"data.resolution_schedule must be []: {system.name} trains at one image size",
    )
    if config.train.remat == "none":
        return system
    from l2s_jax.layers.remat import rematerialised  # late, as all that needs JAX is here

    return dataclasses.replace(system, steps={name: rematerialised(step) for name, step in system.steps.items()})


def default_config(name: str) -> ConfigDict:
    """Return the model, loss and optimiser fields of the system called `name`; comments in its config.py explain them.

    Raises:
      UserError: no such system.
    """
    return _module(name, "config").default_config()


def ranges(name: str) -> Ranges:
    """Return the allowed values of the fields of `default_config(name)`.

    Raises:
      UserError: no such system.
    """
    return _module(name, "config").RANGES


def published(name: str) -> Published:
    """Return the published weights and scores of the system called `name`; empty if there are none.

    Raises:
      UserError: no such system.
    """
    if importlib.util.find_spec(f"{_package(name)}.published") is None:
        return Published()
    return _module(name, "published").PUBLISHED


def published_result(name: str, label_set: LabelSet, image_size: float, spec: str) -> Result | None:
    """Return the published result to show beside our scores (`base.nearest_result`); None for unknown systems."""
    return nearest_result(published(name), label_set, image_size, spec) if is_known(name) else None


def published_activeness() -> tuple[ActivenessTable, ...]:
    """Return the published tables of ACS of all systems, in alphabetical order: each compares several methods."""
    return tuple(table for name in names() for table in published(name).activeness)


def convertible() -> tuple[str, ...]:
    """Return the names of the systems whose published weights can be converted."""
    return tuple(name for name in names() if published(name).weights is not None)


def reader(name: str) -> Reader:
    """Return what converts the published weights of a system.

    Raises:
      UserError: no such system.
    """
    return _module(name, "convert").read


def is_known(name: str) -> bool:
    """Return whether there is a system called `name`."""
    return name in _own() or name in packages()


def _package(name: str) -> str:
    known = _own()
    if name not in known:
        known = packages()
    require(name in known, f"unknown system '{clipped(name)}'; there are: {', '.join(known)}")
    return known[name]


def _module(name: str, part: str) -> ModuleType:
    return importlib.import_module(f"{_package(name)}.{part}")
