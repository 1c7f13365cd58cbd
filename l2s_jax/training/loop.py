"""The training loop, one for all systems: evaluate -> save (state AND data iterator) -> next batch -> steps -> write.

It knows no losses and no networks. The next batches are read and transferred while a step runs (prefetch.py); the
position saved is the one after the last batch TRAINED on. A run of N steps and a run of k steps, killed and resumed for
N - k, end with bit-identical states.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import math
import os
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.peaks import peak
from l2s_jax.training import checkpoints, exchange, finite, parallel, progress, resume, writers
from l2s_jax.training import workdir as layout
from l2s_jax.training.checkpoints import Checkpoint
from l2s_jax.training.metric_buffer import MetricBuffer
from l2s_jax.training.prefetch import Batches, DevicePrefetcher
from l2s_jax.training.resume import Best, Memory
from l2s_jax.training.signals import Interrupted, StopRequest
from l2s_jax.types import Batch, PyTree, System, TrainState

Evaluate = Callable[[PyTree], Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
      state: the last state.
      step: number of batches trained on.
      best: the best evaluation; its state is the checkpoint in `checkpoints/best` (see `exported_state`).
      interrupted: 0, or the number of the signal that ended the run early; exit with 128 + it.
    """

    state: TrainState
    step: int
    best: Best | None
    interrupted: int


def train(
    config: ConfigDict,
    workdir: str | os.PathLike,
    *,
    system: System,
    batches: Batches,
    evaluate: Evaluate,
    frozen: Mapping[str, PyTree] = types.MappingProxyType({}),
    console: Console | None = None,
) -> TrainResult:
    """Train until `config.train.steps`, `.max_minutes`, `.patience` or a signal; resume from the workdir's checkpoint.

    Args:
      config: the resolved config.
      workdir: the run's folder, see docs/architecture.md; `workdir.locked` keeps other trainings out of it.
      system: built for the same config.
      batches: this process's rows of each batch; closed at the end.
      evaluate: exported variables -> flat scores; without `config.train.best_metric` among them there is no best.
      frozen: the arrays that `system.frozen` returns, if it is not None.
      console: for progress and messages; None = standard output.

    Raises:
      UserError: the config does not fit the devices or the workdir, the workdir is not writable, all checkpoints are
        damaged, or a loss or the weights are not finite: the batch is written to `not_finite/` in the workdir.
    """
    started = time.monotonic()
    if jax.process_index() != 0:
        console = Console(quiet=True)
    display = progress.display(console or Console(), config.train.steps)
    with contextlib.closing(batches), display, StopRequest(several=jax.process_count() > 1) as stop:
        mesh = parallel.make_mesh(config.parallel.mode, config.parallel.fsdp)
        _check_batch_size(config.data.batch_size, mesh.size)
        root = layout.claim(workdir, config)
        state, memory = resume.begin(config, root, system, batches, mesh, frozen, display.message)
        step, placed = int(state.step), parallel.put_state(dict(frozen), mesh)
        steps = {
            name: parallel.data_parallel(function, mesh, config.parallel.mode, placed)
            for name, function in system.steps.items()
        }
        place = functools.partial(parallel.global_batch, mesh=mesh)
        with (
            contextlib.closing(_writer(config, root, step, display.message)) as writer,
            contextlib.closing(DevicePrefetcher(batches, place, max(config.train.steps - step, 0))) as prefetcher,
        ):
            run = _Run(
                config=config,
                root=root,
                system=system,
                steps=steps,
                evaluate=evaluate,
                batches=prefetcher,
                writer=writer,
                display=display,
                stop=stop,
                started=started,
                meter=progress.Meter(
                    config.data.batch_size,
                    peak(mesh.devices.flat[0].device_kind, config.precision.compute),
                    memory.in_steps,
                ),
                state=state,
                step=step,
                saved=step,
                memory=memory,
                positions=collections.deque(maxlen=config.train.log_every),
            )
            try:
                return _loop(run)
            except finite.NotFiniteError as error:
                prefetcher.close()
                raise UserError(f"{error}; {_save_batch(run, batches, error.step)}") from error
            finally:  # whatever ends the run: a checkpoint that was begun is finished
                concurrent.futures.wait(run.saving)


def exported_state(
    workdir: str | os.PathLike, config: ConfigDict, system: System, warn: Callable[[str], None]
) -> TrainState:
    """Read the state that is exported as the model of a workdir, chosen by `config.train.export`.

    `best`: the state with the best evaluation, or the latest one if no evaluation gave a finite score. `last`: the
    latest state, whatever its scores.

    Raises:
      UserError: the workdir holds no checkpoint, a damaged one, or one of another model.
    """
    mesh = parallel.make_mesh(config.parallel.mode, config.parallel.fsdp)
    like = parallel.abstract_state(system.init, jax.random.key(config.seed), mesh)
    kinds = {"best": (layout.BEST, layout.LATEST), "last": (layout.LATEST,)}[config.train.export]
    for kind in kinds:
        target = checkpoints.newest(os.path.join(workdir, kind), warn)
        if target is not None:
            return checkpoints.restore_state(target, like)
    raise UserError(f"{workdir} holds no checkpoint; train there first")


@dataclasses.dataclass
class _Run:
    """One call of `train`: what it works with and how far it is.

    Attributes:
      config, root, system, evaluate: the config, the workdir, and arguments of `train`.
      steps: the system's steps for the devices, compiled when they are first called.
      batches: the next batches, on the devices.
      writer, display, meter: what is written to files, shown to the user, and measured.
      stop: the signals received.
      started: `time.monotonic()` of the beginning.
      state: the current train state.
      step: `state.step`, without waiting for the devices.
      saved: step of the latest checkpoint; without one, the step at which the run began.
      saving: the checkpoint that a thread may still be writing.
      memory: what the loop remembers in checkpoints.
      positions: the last `train.log_every` batch numbers, with the position of the stream before each.
      metrics: metrics of the steps since the last log.
      throttle: limit on the number of steps in flight.
      flops: operations of one device in a call, of the steps called so far, by name and image size.
      noticed, told: whether `System.watch` had something to tell at the last log, and whether it was told.
    """

    config: ConfigDict
    root: Path
    system: System
    steps: Mapping[str, parallel.ParallelStep]
    evaluate: Evaluate
    batches: DevicePrefetcher
    writer: writers.MultiWriter
    display: progress.PlainDisplay | progress.LiveDisplay
    meter: progress.Meter
    stop: StopRequest
    started: float
    state: TrainState
    step: int
    saved: int
    memory: Memory
    positions: collections.deque[tuple[int, dict[str, Any]]]
    saving: list[concurrent.futures.Future] = dataclasses.field(default_factory=list)
    metrics: MetricBuffer = dataclasses.field(default_factory=MetricBuffer)
    throttle: parallel.Throttle = dataclasses.field(default_factory=parallel.Throttle)
    flops: dict[tuple[str, int], float] = dataclasses.field(default_factory=dict)
    noticed: bool = False
    told: bool = False

    def due(self, every: int) -> bool:
        """Return whether this step is a multiple of `every`; 0 = never."""
        return every > 0 and self.step % every == 0


def _loop(run: _Run) -> TrainResult:
    """Train to the end of the run. Resuming to the bit depends on this order: evaluate, save, next, step, write."""
    train = run.config.train
    while True:
        signal, timed_out = _requested_end(run)
        finished = timed_out or run.step >= train.steps

        # Evaluate.
        if not signal and (finished or run.due(train.eval_every)) and run.memory.evaluated != run.step:
            signal = _evaluate(run)
        finished = finished or _out_of_patience(run)

        # Save.
        if any(begun.done() for begun in run.saving):
            _wait_for_checkpoint(run)  # a full disk ends the run now
        if (signal or finished or run.due(train.save_every)) and run.saved != run.step:
            _save(run, layout.LATEST, train.keep)
            run.saved = run.step
        if signal or finished:
            _wait_for_checkpoint(run)
            exchange.barrier("the last checkpoint is finished")  # by the first process, and any may read it
            break

        # Next batch.
        run.positions.append((run.step + 1, run.batches.get_state()))
        with run.meter.waiting():
            batch = next(run.batches)

        # Step.
        names, side = run.system.schedule(run.step), _side(run, batch)
        with _profiled(run, run.step + 1 == train.profile_step):
            for place, name in enumerate(names, start=1):
                with _announced(run, name, side, batch):
                    run.state, metrics = run.steps[name](run.state, batch, last=place == len(names))
                run.throttle(run.state, metrics)
                run.metrics.add(run.step + 1, name, metrics)
        run.step += 1
        run.meter.count_step(sum(run.flops[name, side] for name in names))

        # Write.
        run.display.advance(run.step)
        if run.step % train.log_every == 0:
            goodput = run.meter.in_steps / (time.time() - run.memory.began)
            scalars = run.metrics.means() | run.meter.report() | {"perf/goodput": goodput}
            run.writer.write_scalars(run.step, scalars)
            _tell(run, run.system.watch(scalars))
            run.display.write_scalars(run.step, scalars | ({"best": run.memory.best.score} if run.memory.best else {}))
    if signal:
        run.display.message(f"stopped and saved at step {run.step} of {train.steps}; the same command resumes")
    return TrainResult(run.state, run.step, run.memory.best, signal)


def _side(run: _Run, batch: Batch) -> int:
    """Return the side of the images of a batch; those that the steps make themselves have the config's."""
    return batch["image"].shape[1] if "image" in batch else run.config.image_size


def _tell(run: _Run, sentence: str) -> None:
    """Show what the system watches out for, once, if it stands at two logs in a row."""
    if sentence and run.noticed and not run.told:
        run.display.message(f"step {run.step}: {sentence}")
        run.told = True
    run.noticed = bool(sentence)


def _check_batch_size(size: int, devices: int) -> None:
    below = size - size % devices
    if size != below:
        nearest = " or ".join(str(choice) for choice in (below, below + devices) if choice)
        raise UserError(f"data.batch_size={size} must be a multiple of the {devices} devices; choose {nearest}")


def _writer(config: ConfigDict, root: Path, step: int, message: Callable[[str], None]) -> writers.MultiWriter:
    """Return the writers of this process; only the first process writes."""
    if jax.process_index() != 0:
        return writers.MultiWriter([])
    lines = writers.JsonlWriter(root / layout.METRICS, step, message)
    writer = writers.MultiWriter([lines, writers.TensorBoardWriter(root / layout.TENSORBOARD, step)])
    writer.write_hparams(configs.flatten(config))
    return writer


def _requested_end(run: _Run) -> tuple[int, bool]:
    """Return (signal or 0, whether time is up), the same in every process."""
    signal, limit = run.stop.before(run.step), run.config.train.max_minutes * 60
    timed_out = run.step > 0 and 0 < limit <= time.monotonic() - run.started
    if jax.process_count() == 1 or not limit:
        return signal, timed_out
    if run.step % run.config.train.log_every:  # to agree costs time
        return signal, False
    return signal, bool(exchange.largest(int(timed_out)))


def _out_of_patience(run: _Run) -> bool:
    """Tell whether `train.patience` evaluations gave no new best; those at a smaller image size do not count."""
    train, small, best = run.config.train, run.config.data.resolution_schedule, run.memory.best
    if not train.patience or best is None:
        return False
    since = max(best.step, small[-1][0] if small else 0)
    return run.memory.evaluated - since >= train.patience * train.eval_every


def _evaluate(run: _Run) -> int:
    """Score the state and keep it if it is the best; return the signal that interrupted it, or 0."""
    _check_finite(run)
    try:
        with run.meter.excluded(), run.stop.interruptible():
            scores = run.evaluate(run.system.variables(run.state))
    except Interrupted:
        return run.stop.signal
    step, memory, metric = run.step, run.memory, run.config.train.best_metric.removeprefix("-")
    memory.evaluated = step
    run.writer.write_scalars(step, {f"eval/{name}": value for name, value in scores.items()})
    if metric not in scores:
        run.display.message(f"step {step}  no {metric}: these faces have no such score; no new best")
        return 0
    score, sign = float(scores[metric]), -1 if run.config.train.best_metric.startswith("-") else 1
    if math.isfinite(score) and (memory.best is None or sign * score > sign * memory.best.score):
        memory.best = Best(step, score)
        _save(run, layout.BEST, 1)
    best = f"best {memory.best.score:.4f} at step {memory.best.step}" if memory.best else "no best yet"
    run.display.message(f"step {step}  {metric} {score:.4f} ({best})")
    return 0


def _check_finite(run: _Run) -> None:
    """Refuse to score or save a state that is not finite: no training can resume from it."""
    run.metrics.check()
    if name := finite.first_not_finite(run.state):
        raise finite.NotFiniteError(f"{name} became NaN or infinite", run.step)


def _save_batch(run: _Run, batches: Batches, step: int) -> str:
    """Read batch number `step` again, write this process's rows for inspection; return the end of the sentence.

    The loop keeps positions and not batches, which may be large; a position gives the same batch to the bit.
    """
    position = dict(run.positions).get(step)
    if position is None:
        return "no batch was trained on"
    path = run.root / layout.NOT_FINITE / f"{step}-{jax.process_index()}.npz"
    try:
        batches.set_state(position)
        batch = next(batches)
        path.parent.mkdir(exist_ok=True)
        with files.replacing(path) as part, part.open("wb") as file:
            np.savez(file, **batch)
    except (UserError, OSError) as reason:
        return f"its batch is not saved: {reason}"
    return f"its batch is in {path}"


def _save(run: _Run, kind: str, keep: int) -> None:
    """Begin to write a checkpoint that continues after the last batch trained on."""
    _check_finite(run)
    run.memory.in_steps = run.meter.in_steps
    with run.meter.excluded():
        _wait_for_checkpoint(run)
        run.writer.flush()
        position, memory = run.batches.get_state(), dataclasses.asdict(run.memory)
        checkpoint = Checkpoint(run.state, position, memory, run.config.to_dict())
        run.saving.append(checkpoints.save(run.root / kind, checkpoint, keep))


def _wait_for_checkpoint(run: _Run) -> None:
    """Wait until the checkpoint that was begun last is finished."""
    while run.saving:
        run.saving.pop().result()


@contextlib.contextmanager
def _announced(run: _Run, name: str, side: int, batch: Batch) -> Iterator[None]:
    """Announce that the first call of a step at an image size compiles, exclude it from the speed, count its FLOPs."""
    if (name, side) in run.flops:
        yield
        return
    run.display.message(f"compiling step '{name}' for {side} px ...")
    with run.meter.excluded():
        if jax.process_count() > 1:  # a collective operation waits half a minute for the process that compiles longest
            run.steps[name].compile(run.state, batch)
            exchange.barrier(f"step '{name}' is compiled")
        yield
        run.flops[name, side] = run.steps[name].flops(run.state, batch)


@contextlib.contextmanager
def _profiled(run: _Run, wanted: bool) -> Iterator[None]:
    """Write a profiler trace of the block into the workdir if it is wanted."""
    if not wanted:
        yield
        return
    with jax.profiler.trace(str(run.root / layout.PROFILE)):
        yield
        jax.block_until_ready(run.state)
