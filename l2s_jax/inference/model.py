"""Load a trained model from its folder: a bundle and the system it belongs to."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import jax
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax import bundle, config, systems
from l2s_jax.types import PyTree, System


@dataclasses.dataclass(frozen=True)
class Model:
    """A bundle and the system it belongs to.

    Attributes:
      path: folder of the bundle.
      meta: its description, `model.json`.
      config: the config it was trained with, complete.
      system: the pure functions; `system.predict(variables, image)` is all that parsing needs.
      variables: nested dicts of arrays on the default device.
    """

    path: Path
    meta: bundle.Meta
    config: ConfigDict
    system: System
    variables: PyTree


def load_model(where: str | os.PathLike) -> Model:
    """Load a model.

    Args:
      where: a bundle folder, a workdir, or a name that `l2s models` lists.

    Raises:
      UserError: there is no such model, it is damaged, or it does not fit its system.
    """
    model = bundle.load(bundle.resolve(where))
    try:
        stored = stored_config(model)
        system = systems.build(stored)
    except UserError as error:
        raise UserError(
            f"'{model.path}' is damaged or was made by another version: {error}; install the l2s_jax that wrote it"
        ) from error
    expected = jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0))))
    return Model(model.path, model.meta, stored, system, jax.device_put(bundle.fit(model, expected)))


def stored_config(model: bundle.Bundle) -> ConfigDict:
    """Return the config a bundle was trained with; fields added since then take their defaults."""
    stored = config.from_json(model.meta.config)
    if stored.image_size != model.meta.preprocessing.image_size or stored.label_set != model.meta.label_set.name:
        raise UserError("its config and its description differ")
    config.validate(stored)
    return stored


def frozen_arguments(system: System) -> Mapping[str, PyTree]:
    """Return the arrays that the steps of a system read and training never changes (`System.frozen`).

    Raises:
      UserError: a model that the system learns from is missing, damaged or has other classes.
    """
    return {} if system.frozen is None else system.frozen(load_model)
