"""Every field of a config, with its default, its comment and its allowed values; JSON; validation."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from input_pipeline import files
from input_pipeline.errors import UserError, clipped, require
from input_pipeline.images import resize_rules
from input_pipeline.images.augment import Augment
from input_pipeline.images.framing import FRAMINGS
from input_pipeline.loading.resolution_schedule import check_resolution_schedule, sides_by_field
from l2s_jax import schema, systems
from l2s_jax.schema import MOST, OneOf, Range

MODES = ("jit", "pmap", "shard_map")
"""How a step is distributed over devices, see training/parallel.py."""
PRECISIONS = ("float32", "bfloat16")
REMAT = ("none", "blocks")
"""What is computed again in the backward pass, see layers/remat.py."""
MOST_PIXELS = 16384
"""Largest side of an image in pixels."""
RENAMED = {
    "data": {"mend_sides": "fix_left_right", "smaller_first": "resolution_schedule"},
    "model": {"persons": "people"},
}
"""Former names of fields by their group, in configs and models that were saved with them."""
MAX_JSON_BYTES = 4 * 2**20
RANGES = {
    "seed": Range(0, MOST),
    "image_size": Range(1, MOST_PIXELS),
    "data.balance": Range(0.0, 1.0),
    "data.batch_size": Range(1, 2**20),
    "data.blobs": Range(0, 4096),
    "data.blob_pixels": Range(1, MOST_PIXELS**2),
    "data.workers": Range(0, 1024),
    "data.threads": Range(1, 1024),
    "data.prefetch": Range(1, 4096),
    "data.framing": OneOf(FRAMINGS),
    "data.require": str,
    "data.resize": OneOf(tuple(resize_rules.RULES)),
    "data.augment": Range(-255.0, 255.0),  # narrower ranges: input_pipeline.images.augment.Augment
    "train": Range(0, MOST),
    "train.steps": Range(1, MOST),
    "train.log_every": Range(1, MOST),
    "train.accumulate": Range(1, MOST),
    "train.keep": Range(1, 10_000),
    "train.export": OneOf(("best", "last")),
    "train.remat": OneOf(REMAT),
    "parallel.mode": OneOf(MODES),
    "parallel.fsdp": Range(1, 2**16),
    "eval.batch_size": Range(1, 2**20),
    "precision.compute": OneOf(PRECISIONS),
}
"""Allowed values of the fields of `base()`; systems have their own."""


def base() -> ConfigDict:
    """Return the fields of the training loop, the same for every system, with their defaults."""
    config = ConfigDict()
    config.system = ""  # registry name, e.g. latents2segments
    config.seed = 0  # random seed of weights, shuffling, augmentation and noise
    config.label_set = "celebamask"  # classes of masks and predictions; `l2s labels` lists the label sets
    config.image_size = 128  # side of the networks' input images, in pixels

    config.data = ConfigDict()
    config.data.root = ""  # folder of relative paths in data.train, .eval and .test; "" = the working directory
    config.data.train = "synthetic:20000"  # training data: SPEC (docs/data.md) or a mixture "0.7*SPEC + 0.3*SPEC"
    config.data.eval = "synthetic:200?val"  # held-out faces used to select the best checkpoint
    config.data.test = ""  # faces of the final scores and the report, not used for selection; "" = data.eval
    config.data.framing = "whole"  # whole | face | face_inside | aligned: the part of each picture that is used
    config.data.require = ()  # classes of label_set: training faces that lack any of them are left out
    config.data.require_scored = False  # also leave out such faces from data.eval and data.test
    config.data.resize = "pad-square-bilinear"  # how all photos are made square (images/resize_rules.py)
    config.data.balance = 0.0  # repeat training faces with a class that less than this share of faces have; 0 = off
    config.data.batch_size = 16  # GLOBAL batch size, over all devices and hosts
    config.data.fix_left_right = False  # swap left and right in training masks whose `left` is the image's left
    config.data.resolution_schedule = ()  # pairs (step, side): up to this step images have this side
    config.data.blobs = 0  # largest number of connected components per training mask in `blobs`; 0 = no blobs
    config.data.blob_pixels = 8  # components with fewer pixels are merged with others of their class
    config.data.workers = 0  # worker processes per host that load and augment; 0 = threads of this process
    config.data.threads = 2  # number of loading threads if workers is 0
    config.data.prefetch = 4  # batches prefetched in memory, by each worker or by all threads together
    config.data.cache = False  # keep decoded examples in memory
    config.data.augment = ConfigDict(dataclasses.asdict(Augment()))  # explained there: images/augment.py

    config.train = ConfigDict()
    config.train.steps = 10_000  # number of batches to train on
    config.train.accumulate = 1  # batches whose mean gradient makes one update of the parameters (docs/scaling.md)
    config.train.max_minutes = 0.0  # stop after this time, with an evaluation and a checkpoint; 0 = no limit
    config.train.log_every = 50  # steps between lines of metrics.jsonl, which hold means over these steps
    config.train.eval_every = 1000  # steps between evaluations on data.eval; 0 = only at the end
    config.train.save_every = 1000  # steps between checkpoints; 0 = only at the end
    config.train.eval_examples = 0  # faces per evaluation; 0 = all
    config.train.best_metric = "segmentation.mean_f1"  # score of the best checkpoint; -NAME: the lowest is best
    config.train.export = "best"  # best | last: export the checkpoint with the highest best_metric or the final one
    config.train.patience = 0  # stop after this many evaluations in a row without a new best; 0 = never
    config.train.keep = 2  # number of latest checkpoints to keep
    config.train.remat = "none"  # none | blocks: compute inner activations of blocks again instead of keeping them
    config.train.profile_step = 0  # write a profiler trace of this step into the workdir; 0 = none

    config.parallel = ConfigDict()
    config.parallel.mode = "jit"  # jit | pmap | shard_map: the same results
    config.parallel.fsdp = 1  # devices that share one copy of the parameters (jit only)

    config.eval = ConfigDict()
    config.eval.batch_size = 16  # GLOBAL batch size of evaluation

    config.precision = ConfigDict()
    config.precision.compute = "float32"  # float32 | bfloat16: dtype of the networks; parameters and losses are float32
    return config.lock()


def default(system_name: str) -> ConfigDict:
    """Merge `base()` with the defaults of a system into a locked config, so that a mistyped field is an error.

    Raises:
      UserError: no such system.
    """
    config = base().unlock()
    config.update(systems.default_config(system_name))
    config.system = system_name
    return config.lock()


def save(config: ConfigDict, path: str | os.PathLike) -> None:
    """Write the resolved config as JSON, atomically through a temporary file.

    Raises:
      UserError: the file cannot be written.
    """
    files.replace_json(Path(path), json.loads(config.to_json()))


def from_json(source: str | os.PathLike | Mapping[str, Any]) -> ConfigDict:
    """Return the locked config that `save` wrote, from its file or its plain content; lists become tuples.

    A field that was introduced after the file was written gets its default.

    Raises:
      UserError: the file is missing or is not the JSON of a config of this version.
    """
    if isinstance(source, Mapping):
        return _conformed(source)
    content = files.read_object(source, MAX_JSON_BYTES, "config", remedy="restore it, or start a new workdir")
    try:
        return _conformed(content)
    except UserError as error:
        where = clipped(source, 200)
        raise UserError(f"config {where}: {error}; restore it, or install the l2s_jax that wrote it") from error


def _conformed(content: Mapping[str, Any]) -> ConfigDict:
    """Validate against the defaults of its system or, if the system is not registered, against `base()`."""
    for group, former in RENAMED.items():
        if isinstance(fields := content.get(group), Mapping):
            content = {**content, group: {former.get(name, name): value for name, value in fields.items()}}
    name = content.get("system")
    if isinstance(name, str) and systems.is_known(name):
        return schema.conform(content, default(name), RANGES | systems.ranges(name))
    return schema.conform(content, base(), RANGES, extra=True)


def flatten(config: ConfigDict) -> dict[str, Any]:
    """Return all fields by dotted name, in alphabetical order: `{"train.steps": 100, ...}`."""
    return dict(_fields(config, ""))


def validate(config: ConfigDict) -> None:
    """Check the fields that do not depend on a system: their types and values, and that they fit together.

    Raises:
      UserError: a field has an invalid value; names the first one.
    """
    _conformed(config.to_dict())
    train, pairs = config.train, config.data.resolution_schedule
    check_resolution_schedule(pairs)
    for field, side in sides_by_field(config.image_size, pairs):
        require(side <= MOST_PIXELS, f"{field}={side} must be at most {MOST_PIXELS} pixels")
    last = pairs[-1][0] if pairs else 0
    require(
        last < train.steps,
        f"data.resolution_schedule ends at step {last} and the training at train.steps={train.steps}: no batch would "
        "have image_size; set data.resolution_schedule=[] or earlier steps in it",
    )
    require(
        train.accumulate <= train.steps,
        f"train.accumulate={train.accumulate} batches make an update and train.steps={train.steps} are too few for one",
    )
    require(
        train.profile_step <= train.steps,
        f"train.profile_step={train.profile_step} comes after the last step, train.steps={train.steps}: set an earlier "
        "one, or 0 for none",
    )
    require(
        train.eval_every or not train.patience,
        f"train.patience={train.patience} counts evaluations: set train.eval_every above 0",
    )
    Augment.from_dict(config.data.augment.to_dict())


def _fields(config: ConfigDict, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
