"""The folder of a run: its layout, and the rule that one folder holds one experiment."""

from pathlib import Path

import jax
from ml_collections import ConfigDict

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.training import checkpoints, parallel

CONFIG, METRICS, TENSORBOARD, PROFILE = "config.json", "metrics.jsonl", "tensorboard", "profile"
LATEST, BEST = "checkpoints/latest", "checkpoints/best"

JUDGING_FIELDS = ("train.best_metric", "train.eval_examples", "data.eval")
"""Fields that choose the best checkpoint; where they change, that of before is no longer the best."""
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
"""Fields that may change when a run goes on: they decide when and where, not what is computed."""


def claim(workdir: Path, config: ConfigDict) -> Path:
    """Makes or takes over a workdir and writes its config.json.

    Args:
      workdir: a new folder, an empty one, or that of an earlier run of the same experiment.
      config: the resolved config.

    Returns:
      the absolute path.

    Raises:
      UserError: the folder cannot be written, or holds checkpoints of another experiment.
    """
    workdir = Path(workdir).absolute()
    saved = workdir / CONFIG
    if saved.exists() and checkpoints.checkpoints(workdir / LATEST):
        _check_same_experiment(workdir, configs.from_json(saved), config)
    if jax.process_index() == 0:
        files.writable_folder(workdir)
        configs.save(config, saved)
    parallel.barrier("workdir is claimed")
    return workdir


def _check_same_experiment(workdir: Path, before: ConfigDict, config: ConfigDict) -> None:
    there = configs.flatten(before)
    here = configs.flatten(configs.from_json(config.to_dict()))
    for field in [*here, *(name for name in there if name not in here)]:
        if field not in FREE_FIELDS and there.get(field) != here.get(field):
            raise UserError(
                f"{workdir} was trained with {field}={there.get(field)} and this config says {here.get(field)}; "
                "use another --workdir or the config of before"
            )
