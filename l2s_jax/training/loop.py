"""The training loop, one for all systems: evaluate -> save (state AND data iterator) -> next batch -> steps -> write.

It knows no losses and no networks. The next batches are read and transferred while a step runs (prefetch.py); the
position saved is the one after the last batch TRAINED on. A run of N steps and a run of k steps, killed and resumed for
N - k, end with bit-identical states.
"""

import contextlib
import dataclasses
import functools
import math
import os
import shutil
import time
import types
from collections.abc import Callable, Iterator, Mapping

import jax
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.training import checkpoints, finite, parallel, progress, writers
from l2s_jax.training import workdir as layout
from l2s_jax.training.checkpoints import Checkpoint, tree_digest
from l2s_jax.training.metric_buffer import Window
from l2s_jax.training.prefetch import Batches, Feed
from l2s_jax.training.signals import Interrupted, StopRequest
from l2s_jax.types import PyTree, System, TrainState

Evaluate = Callable[[PyTree], Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Best:
    """The evaluation with the highest `config.train.best_metric`."""

    step: int
    score: float


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
        damaged, or a loss or the weights are not finite.
    """
    if jax.process_index() != 0:
        console = Console(quiet=True)
    display = progress.display(console or Console(), config.train.steps)
    with contextlib.closing(batches), display, StopRequest(at_once=jax.process_count() == 1) as stop:
        mesh = parallel.make_mesh(config.parallel.mode, config.parallel.fsdp)
        _check_batch_size(config, system, mesh.size)
        root = layout.claim(workdir, config)
        return _Run(config, root, system, batches, evaluate, frozen, mesh, display, stop).run()


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


class _Run:
    """The mutable state of one call of `train`."""

    def __init__(self, config, root, system, batches, evaluate, frozen, mesh, display, stop):
        self.config, self.root, self.system, self.mesh = config, root, system, mesh
        self.batches, self.evaluate, self.display, self.stop = batches, evaluate, display, stop
        self.started = time.monotonic()
        self.frozen = {name: tree_digest(arrays) for name, arrays in frozen.items()}
        frozen = parallel.put_state(dict(frozen), mesh)
        self.steps = {
            name: parallel.data_parallel(step, mesh, config.parallel.mode, frozen)
            for name, step in system.steps.items()
        }
        self.compiled: set[tuple[str, int]] = set()
        self.throttle = parallel.Throttle()
        self.window = Window()
        self.meter = progress.Meter(config.data.batch_size)
        self._begin()

    def _begin(self) -> None:
        """Take the state of the latest checkpoint, or initialise one."""
        key = jax.random.key(self.config.seed)
        like = parallel.abstract_state(self.system.init, key, self.mesh)
        restored = checkpoints.restore(self.root / layout.LATEST, like, self.display.message)
        self.judged = {field: configs.flatten(self.config)[field] for field in layout.JUDGING_FIELDS}
        self.step = self.evaluated = 0
        self.best: Best | None = None
        if restored is None:
            self.state = parallel.init_state(self.system.init, key, self.mesh)
            if self.system.start is not None:
                self.state = parallel.put_state(self.system.start(self.state), self.mesh)
        else:
            self.state = restored.state
            self.step = int(self.state.step)
            if name := finite.first_not_finite(self.state):
                raise UserError(
                    f"{name} of the checkpoint of step {self.step} in {self.root / layout.LATEST} holds numbers that "
                    "are not finite; delete it to resume from the one before"
                )
            self._check_frozen(restored.progress.get("frozen", self.frozen))
            self.evaluated = restored.progress["evaluated"]
            self.best = Best(**restored.progress["best"]) if restored.progress["best"] else None
            self._check_judged(restored.progress.get("judged", self.judged))
            self.batches.set_state(restored.loader)
            self.display.message(f"resuming at step {self.step} of {self.config.train.steps} in {self.root}")
        self.saved = self.step

    def _check_judged(self, before: Mapping[str, object]) -> None:
        """Forget the best checkpoint if it was chosen by another score or on other faces."""
        changed = next((field for field, value in self.judged.items() if before.get(field) != value), None)
        if changed is None:
            return
        self.best, self.evaluated = None, 0
        if jax.process_index() == 0:
            shutil.rmtree(self.root / layout.BEST, ignore_errors=True)
        self.display.message(f"{changed} has changed: the best checkpoint so far is dropped, and chosen from here on")

    def _check_frozen(self, before: Mapping[str, str]) -> None:
        """Check that the frozen arrays are those that the run began with."""
        for name in sorted({*before, *self.frozen}):
            if before.get(name) != self.frozen.get(name):
                raise UserError(
                    f"the {name} of {self.root} differs from the one used up to step {self.step}: restore that one, or "
                    "train with another --workdir"
                )

    def run(self) -> TrainResult:
        train = self.config.train
        with contextlib.closing(self._writer()) as self.writer, contextlib.closing(self._feed()) as self.feed:
            while True:
                signal, timed_out = self._ending()
                finished = timed_out or self.step >= train.steps
                if not signal and self._due(train.eval_every, finished) and self.evaluated != self.step:
                    signal = self._evaluate()
                finished = finished or self._out_of_patience()
                if (signal or self._due(train.save_every, finished)) and self.saved != self.step:
                    self._save(layout.LATEST, train.keep)
                    self.saved = self.step
                if signal or finished:
                    break
                self._train_on(self._next_batch())
        if signal:
            self.display.message(f"stopped and saved at step {self.step} of {train.steps}; the same command resumes")
        return TrainResult(self.state, self.step, self.best, signal)

    def _writer(self) -> writers.MultiWriter:
        """Return the writers of this process; only the first process writes."""
        if jax.process_index() != 0:
            return writers.MultiWriter([])
        lines = writers.JsonlWriter(self.root / layout.METRICS, self.step, self.display.message)
        board = writers.TensorBoardWriter(self.root / layout.TENSORBOARD, self.step)
        writer = writers.MultiWriter([lines, board])
        writer.write_hparams(configs.flatten(self.config))
        return writer

    def _feed(self) -> Feed:
        place = functools.partial(parallel.global_batch, mesh=self.mesh)
        return Feed(self.batches, place, count=max(self.config.train.steps - self.step, 0))

    def _due(self, every: int, finished: bool) -> bool:
        return finished or (every > 0 and self.step % every == 0)

    def _out_of_patience(self) -> bool:
        """Tell whether `train.patience` evaluations gave no new best; those at a smaller image size do not count."""
        train, small = self.config.train, self.config.data.smaller_first
        if not train.patience or self.best is None:
            return False
        since = max(self.best.step, small[-1][0] if small else 0)
        return self.evaluated - since >= train.patience * train.eval_every

    def _ending(self) -> tuple[int, bool]:
        """Return (signal or 0, whether time is up). Several processes agree only at steps that log: it costs time."""
        if jax.process_count() > 1 and self.step % self.config.train.log_every:
            return 0, False
        limit = self.config.train.max_minutes * 60
        timed_out = self.step > 0 and 0 < limit <= time.monotonic() - self.started
        return (
            parallel.largest_over_processes(self.stop.signal),
            bool(parallel.largest_over_processes(int(timed_out))),
        )

    def _evaluate(self) -> int:
        """Score the state and keep it if it is the best; return the signal that interrupted it, or 0."""
        self._check_finite()
        try:
            with self.meter.excluded(), self.stop.interruptible():
                scores = self.evaluate(self.system.variables(self.state))
        except Interrupted:
            return self.stop.signal
        self.evaluated = self.step
        self.writer.write_scalars(self.step, {f"eval/{name}": value for name, value in scores.items()})
        metric = self.config.train.best_metric
        if metric not in scores:
            self.display.message(f"step {self.step}  no {metric}: these faces have no such score; no new best")
            return 0
        score = float(scores[metric])
        if math.isfinite(score) and (self.best is None or score > self.best.score):
            self.best = Best(self.step, score)
            self._save(layout.BEST, 1)
        best = f"best {self.best.score:.4f} at step {self.best.step}" if self.best else "no best yet"
        self.display.message(f"step {self.step}  {metric} {score:.4f} ({best})")
        return 0

    def _check_finite(self) -> None:
        """Refuse to score or save a state that is not finite: no training can resume from it."""
        self.window.check()
        if name := finite.first_not_finite(self.state):
            raise UserError(
                f"{name} became NaN or infinite at step {self.step}; the checkpoint before it is kept, lower the "
                "learning rate or check the data"
            )

    def _save(self, kind: str, keep: int) -> None:
        self._check_finite()
        best = dataclasses.asdict(self.best) if self.best else None
        memory = {"evaluated": self.evaluated, "best": best, "judged": self.judged, "frozen": self.frozen}
        with self.meter.excluded():
            self.writer.flush()
            checkpoints.save(self.root / kind, Checkpoint(self.state, self.feed.get_state(), memory), keep)

    def _next_batch(self) -> dict[str, jax.Array]:
        with self.meter.waiting():
            return self.feed.take()

    def _train_on(self, batch: Mapping[str, jax.Array]) -> None:
        number = self.step + 1
        with self._profiled(number == self.config.train.profile_step):
            for name in self.system.schedule(self.step):
                with self._announced(name, batch["image"].shape[1]):
                    self.state, metrics = self.steps[name](self.state, batch)
                self.throttle(self.state, metrics)
                self.window.add(number, name, metrics)
        self.state = self.state.replace(step=self.state.step + 1)
        self.step = number
        self.meter.count_step()
        self.display.advance(number)
        if number % self.config.train.log_every == 0:
            scalars = self.window.means() | self.meter.report()
            self.writer.write_scalars(number, scalars)
            self.display.write_scalars(number, scalars | ({"best": self.best.score} if self.best else {}))

    @contextlib.contextmanager
    def _announced(self, name: str, side: int) -> Iterator[None]:
        """Announce that the first call of a step at an image size compiles, and exclude it from the speed."""
        if (name, side) in self.compiled:
            yield
            return
        self.compiled.add((name, side))
        self.display.message(f"compiling step '{name}' for {side} px ...")
        with self.meter.excluded():
            yield

    @contextlib.contextmanager
    def _profiled(self, wanted: bool) -> Iterator[None]:
        if not wanted:
            yield
            return
        with jax.profiler.trace(str(self.root / layout.PROFILE)):
            yield
            jax.block_until_ready(self.state)


def _check_batch_size(config: ConfigDict, system: System, devices: int) -> None:
    size = config.data.batch_size
    multiple = math.lcm(devices, system.batch_multiple)
    below = size - size % multiple
    if size != below:
        nearest = " or ".join(str(choice) for choice in (below, below + multiple) if choice)
        raise UserError(
            f"data.batch_size={size} must be a multiple of {multiple} ({devices} devices; {system.name} needs "
            f"multiples of {system.batch_multiple}); choose {nearest}"
        )
