"""The beginning of a run: the state, the loop's memory and the place in the data, from the latest checkpoint or new."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.training import checkpoints, finite, parallel
from l2s_jax.training import workdir as layout
from l2s_jax.training.checkpoints import tree_digest
from l2s_jax.training.prefetch import Batches
from l2s_jax.types import PyTree, System, TrainState


@dataclasses.dataclass(frozen=True)
class Best:
    """The evaluation with the highest `config.train.best_metric`."""

    step: int
    score: float


@dataclasses.dataclass
class Memory:
    """The loop's own state, saved with every checkpoint.

    Attributes:
      judged: values of the fields that decide which checkpoint is the best.
      frozen: digests of the arrays that training uses and does not change, by name.
      evaluated: step of the latest evaluation; 0 = none.
      best: the best evaluation, if there is one.
      began: time of the first start, seconds since 1970.
      in_steps: seconds since then in the steps that led to the checkpoint.
    """

    judged: dict[str, Any]
    frozen: dict[str, str]
    evaluated: int = 0
    best: Best | None = None
    began: float = dataclasses.field(default_factory=time.time)
    in_steps: float = 0.0


def begin(
    config: ConfigDict,
    root: Path,
    system: System,
    batches: Batches,
    mesh: Mesh,
    frozen: Mapping[str, PyTree],
    message: Callable[[str], None],
) -> tuple[TrainState, Memory]:
    """Return the state and the memory of the latest checkpoint, and move the batches there; without one, new ones.

    Args:
      config, system, batches, frozen: as for `loop.train`.
      root: the workdir.
      mesh: of the devices.
      message: called with a sentence for the user.

    Raises:
      UserError: the checkpoint is damaged, not finite, or of another model or other frozen arrays.
    """
    fields = configs.flatten(config)
    judged = {field: fields[field] for field in layout.JUDGING_FIELDS}
    memory = Memory(judged, {name: tree_digest(arrays) for name, arrays in frozen.items()})
    key = jax.random.key(config.seed)
    like = parallel.abstract_state(system.init, key, mesh)
    found = checkpoints.restore(root / layout.LATEST, like, message)
    if found is None:
        state = parallel.init_state(system.init, key, mesh)
        return state if system.init_from is None else parallel.put_state(system.init_from(state), mesh), memory
    step = int(found.state.step)
    if name := finite.first_not_finite(found.state):
        raise UserError(
            f"{name} of the checkpoint of step {step} in {root / layout.LATEST} holds numbers that are not finite; "
            "delete it to resume from the one before"
        )
    _check_frozen(root, step, found.progress.get("frozen", memory.frozen), memory.frozen)
    batches.set_state(found.loader)
    memory.began, memory.in_steps = (found.progress.get(name, getattr(memory, name)) for name in ("began", "in_steps"))
    before = found.progress.get("judged", memory.judged)
    changed = next((field for field, value in memory.judged.items() if before.get(field) != value), None)
    if changed is None:
        best = found.progress["best"]
        memory = dataclasses.replace(
            memory, evaluated=found.progress["evaluated"], best=None if best is None else Best(**best)
        )
    else:  # the best so far was chosen by another score or on other faces
        if jax.process_index() == 0:
            shutil.rmtree(root / layout.BEST, ignore_errors=True)
        message(f"{changed} has changed: the best checkpoint so far is dropped, and chosen from here on")
    message(f"resuming at step {step} of {config.train.steps} in {root}")
    return found.state, memory


def _check_frozen(root: Path, step: int, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that the frozen arrays are those that the run began with, by their digests."""
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise UserError(
                f"the {name} in {root} differs from the one used up to step {step}: restore it, or train with another "
                "--workdir"
            )
