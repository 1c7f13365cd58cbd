"""The folder of a run: its layout, and the rule that it holds one experiment and one training at a time."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from input_pipeline import files, lock
from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.training import checkpoints, exchange

CONFIG, METRICS, TENSORBOARD, PROFILE = "config.json", "metrics.jsonl", "tensorboard", "profile"
LATEST, BEST = "checkpoints/latest", "checkpoints/best"
NOT_FINITE = "not_finite"
SHOWN = 8
"""Fields that a sentence names, of those that tell two experiments apart."""

JUDGING_FIELDS = ("train.best_metric", "train.eval_examples", "data.eval")
"""Fields that decide which checkpoint is the best; if one changes, the previous best is discarded."""
FREE_FIELDS = frozenset(
    {
        *(f"train.{name}" for name in ("steps", "max_minutes", "log_every", "eval_every", "save_every", "keep")),
        "train.export",
        "train.patience",
        "train.profile_step",
        "parallel.mode",
        "parallel.fsdp",
        *JUDGING_FIELDS,
        "data.test",
        "data.root",
        *(f"data.{name}" for name in ("workers", "threads", "prefetch", "cache")),
        "eval.batch_size",
    }
)
"""Fields that may change when a run is resumed: they decide when and where, not what is computed."""


@contextlib.contextmanager
def locked(workdir: str | os.PathLike, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep other trainings out of a workdir while the block runs; readers are not kept out.

    The processes of one run share the folder: the first one holds the lock. Every process must call it.

    Args:
      workdir: created if missing.
      warn: called with a sentence if the file system cannot lock.

    Raises:
      UserError: another training holds it, or the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        refusal = None
        if jax.process_index() == 0:
            try:
                held.enter_context(lock.hold(Path(workdir), unlocked=warn))
            except UserError as error:
                refusal = error
        if exchange.largest(int(refusal is not None)):  # or the others would wait for the first one
            raise refusal or UserError(f"the first process cannot train in '{workdir}'; its message says why")
        yield


def claim(workdir: Path, config: ConfigDict) -> Path:
    """Create or take over a workdir and write its config.json.

    Args:
      workdir: a new folder, an empty one, or the one of an earlier run of the same experiment.
      config: the resolved config.

    Returns:
      the absolute path.

    Raises:
      UserError: the folder cannot be written, or holds checkpoints of another experiment: names the fields that differ.
    """
    workdir = files.local(Path(workdir)).absolute()
    saved = workdir / CONFIG
    if checkpoints.checkpoints(workdir / LATEST):
        before = checkpoints.saved_config(workdir / LATEST) or (saved if saved.exists() else None)
        if before is not None:
            _check_same_experiment(workdir, configs.from_json(before), config)
    if jax.process_index() == 0:
        files.writable_folder(workdir)
        configs.save(config, saved)
    exchange.barrier("workdir is claimed")
    return workdir


def _check_same_experiment(workdir: Path, before: ConfigDict, config: ConfigDict) -> None:
    there = configs.flatten(before)
    here = configs.flatten(configs.from_json(config.to_dict()))
    changed = [
        f"{field}={there.get(field)} and this config says {here.get(field)}"
        for field in [*here, *(name for name in there if name not in here)]
        if field not in FREE_FIELDS and there.get(field) != here.get(field)
    ]
    if changed:
        more = f", and {len(changed) - SHOWN} more fields differ" if len(changed) > SHOWN else ""
        raise UserError(
            f"{workdir} was trained with {', with '.join(changed[:SHOWN])}{more}; "
            "use another --workdir or the original config"
        )
