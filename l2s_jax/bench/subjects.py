"""What is measured: systems at sizes, found through the registry."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax import systems
from l2s_jax.models import backbones
from l2s_jax.types import System


class Subject(NamedTuple):
    """A system to measure.

    Attributes:
      name: name of the system.
      variant: its backbone, or the name of its config; "" if it has neither.
      config: its config; the batch size is that of the training steps.
      system: built from it.
    """

    name: str
    variant: str
    config: ConfigDict
    system: System

    def __str__(self) -> str:
        return f"{self.variant or self.name}, {self.config.image_size} px, {self.config.precision.compute}"


def subjects(
    names: Sequence[str] = (),
    backbone_names: Sequence[str] = (),
    config_names: Sequence[str] = (),
    sizes: Sequence[int] = (),
    precisions: Sequence[str] = (),
    batch: int = 4,
) -> list[Subject]:
    """Build every system that is asked for, before anything is measured.

    Args:
      names: systems, each with its default config; none = all of them, if no configs are named.
      backbone_names: of systems that have backbones, and only those if no systems are named; none = all published ones.
      config_names: configs instead of systems.
      sizes: sides of the images in pixels; none = that of each config.
      precisions: compute dtypes; none = that of each config.
      batch: images of a training step.

    Raises:
      UserError: an unknown name, or a size, dtype or batch that a system cannot take.
    """
    if batch % jax.device_count():
        devices = jax.device_count()
        raise UserError(f"{devices} devices cannot share a training step of {batch} images: choose a multiple")
    chosen = [(Path(name).stem, configs.load(name)) for name in config_names]
    if not config_names or names:
        for name in names or systems.names():
            chosen += _variants(name, backbone_names, bool(names))
    return [
        _built(variant, config, size, precision, batch)
        for variant, config in chosen
        for size in sizes or (config.image_size,)
        for precision in precisions or (config.precision.compute,)
    ]


def _variants(name: str, backbone_names: Sequence[str], named: bool) -> list[tuple[str, ConfigDict]]:
    """Return the default config of a system, once for each backbone if it has any."""
    config = configs.default(name)
    if "backbone" not in config.get("model", {}):
        return [("", config)] if named or not backbone_names else []
    found = []
    for backbone in backbone_names or [name for name in backbones.BACKBONES if not name.startswith("tiny_")]:
        backbones.find(backbone)
        own = configs.default(name)
        with own.unlocked():
            own.model.backbone = backbone
        found.append((backbone, own))
    return found


def _built(variant: str, config: ConfigDict, size: int, precision: str, batch: int) -> Subject:
    config = configs.from_json(config.to_dict())
    with config.unlocked():
        config.image_size, config.precision.compute, config.data.batch_size = size, precision, batch
        config.data.resolution_schedule, config.parallel.mode, config.parallel.fsdp = (), "jit", 1
    configs.validate(config)
    try:
        return Subject(config.system, variant, config, systems.build(config))
    except UserError as error:
        raise UserError(f"{variant or config.system} cannot be measured at {size} px: {error}") from error
