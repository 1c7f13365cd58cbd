"""Measure subjects: every program of inference at every batch, every training step, a short loop with real data."""

import collections
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from input_pipeline.errors import UserError
from l2s_jax import cost, recipe
from l2s_jax.bench.ceiling import ceiling
from l2s_jax.bench.programs import Program, batch, programs
from l2s_jax.bench.results import Measurement
from l2s_jax.bench.subjects import Subject
from l2s_jax.bench.timing import FEWEST, timed
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.training import parallel
from l2s_jax.training.prefetch import DevicePrefetcher
from l2s_jax.training.progress import Meter
from l2s_jax.types import PyTree, TrainState

DATA = ("synthetic:10000/2000", "random:100000")
"""Faces for the loop: the first that have what a system needs."""


class Plan(NamedTuple):
    """What to do with every subject.

    Attributes:
      batches: images at a time in inference.
      seconds: time for the calls of one program.
      fewest: least number of timed calls.
      training: whether to measure training steps and the loop.
      budget: seconds for everything, or None.
    """

    batches: Sequence[int]
    seconds: float = 1.0
    fewest: int = FEWEST
    training: bool = True
    budget: float | None = None


def measure(
    subjects: Sequence[Subject],
    plan: Plan,
    tell: Callable[[str], None],
    keep: Callable[[list[Measurement], list[str]], None] = lambda done, left_out: None,
) -> tuple[list[Measurement], list[str]]:
    """Measure in the given order; with a budget, a program begins only if it would still fit.

    It is taken to last as long as the longest so far of its kind: a training step compiles for minutes where parsing
    takes seconds. A program for which the device has too little memory is left out, and the others go on.

    Args:
      subjects: from `subjects.subjects`.
      plan: see there.
      tell: called with the name of each program before it is compiled.
      keep: called with all measurements so far after each program, and with the names of those left out.

    Returns:
      the measurements, and the names of programs that were left out, each with the reason.
    """
    started, done, left_out = time.monotonic(), [], []
    longest: dict[str, float] = collections.defaultdict(float)
    for subject in subjects:
        jobs = _Jobs(subject, plan)
        for name, job in jobs.all():
            begun, kind = time.monotonic(), name.partition(" ")[0]
            if plan.budget is not None and begun - started + longest[kind] > plan.budget:
                left_out.append(f"{subject}: {name} (no time)")
                continue
            tell(f"{subject}: {name}")
            try:
                done += job()
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                left_out.append(f"{subject}: {name} (no memory)")
                jobs.forget()
            longest[kind] = max(longest[kind], time.monotonic() - begun)
            keep(done, left_out)
    return done, left_out


class _Jobs:
    """The measurements of one subject; its weights exist from the first of them on."""

    def __init__(self, subject: Subject, plan: Plan):
        self._subject, self._plan, self._config = subject, plan, subject.config
        self._system, self._size = subject.system, subject.config.image_size
        self._mesh = parallel.make_mesh("jit", 1)
        self._steps: dict[str, tuple[Callable, float, float]] = {}

    def all(self) -> Iterator[tuple[str, Callable[[], list[Measurement]]]]:
        """Yield the jobs by name."""
        for program in programs(self._system, self._size):
            for rows in self._plan.batches:
                yield f"{program.name}, batch {rows}", functools.partial(self._infer, program, rows)
        if self._plan.training:
            for name in self._system.steps:
                yield f"step {name}", functools.partial(self._train, name)
            yield "training", self._loop

    def forget(self) -> None:
        """Let the weights be drawn anew: a step that failed has taken them."""
        vars(self).pop("_state", None)

    @functools.cached_property
    def _ceiling(self) -> float:
        return ceiling(self._config.precision.compute, min(self._plan.seconds, 0.5))

    @functools.cached_property
    def _state(self) -> TrainState:
        return parallel.init_state(self._system.init, jax.random.key(0), self._mesh)

    @functools.cached_property
    def _frozen(self) -> Mapping[str, PyTree]:
        return parallel.put_state(dict(frozen_arguments(self._system)), self._mesh)

    def _infer(self, program: Program, rows: int) -> list[Measurement]:
        variables = jax.device_put(self._system.variables(self._state), jax.devices()[0])
        inputs = [jax.device_put(program.inputs(rows, seed), jax.devices()[0]) for seed in range(2)]
        began = time.perf_counter()
        traced = jax.jit(program.function).trace(variables, inputs[0])
        compiled = traced.lower().compile()
        seconds = time.perf_counter() - began
        times = timed(lambda number: compiled(variables, inputs[number % 2]), self._plan.seconds, self._plan.fewest)
        flops = cost.product_flops(traced.jaxpr.jaxpr)
        return [self._measurement(program.name, rows, seconds, times, flops, peak_bytes(compiled))]

    def _train(self, name: str) -> list[Measurement]:
        rows = self._config.data.batch_size
        arrays = [parallel.global_batch(batch(self._system, rows, self._size, seed), self._mesh) for seed in range(2)]
        step = parallel.data_parallel(self._system.steps[name], self._mesh, "jit", self._frozen)
        began = time.perf_counter()
        compiled = step.program.lower(step.frozen, self._state, arrays[0], np.int32(1)).compile()
        seconds, flops = time.perf_counter() - began, step.flops(self._state, arrays[0])

        def call(number: int):
            self._state, metrics = compiled(step.frozen, self._state, arrays[number % 2], np.int32(1))
            return self._state, metrics

        times = timed(call, self._plan.seconds, self._plan.fewest)
        self._steps[name] = functools.partial(compiled, step.frozen), float(np.median(times)), flops
        return [self._measurement(f"step {name}", rows, seconds, times, flops, peak_bytes(compiled))]

    def _loop(self) -> list[Measurement]:
        """Run the schedule from the first batch on, for about the planned time; nothing without data or a step."""
        share = cost.frequencies(self._system, self._config.train.steps)
        if any(share[name] and name not in self._steps for name in share) or (stream := self._data()) is None:
            return []
        expected = sum(share[name] * seconds for name, (_, seconds, _) in self._steps.items())
        count = int(np.clip(self._plan.seconds / expected, self._plan.fewest, 50))
        meter, throttle = Meter(self._config.data.batch_size), parallel.Throttle()
        names = ("weight", *self._system.needs)  # what the steps were compiled for; the data have more

        def place(arrays: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
            return parallel.global_batch({name: arrays[name] for name in names}, self._mesh)

        with contextlib.closing(stream), contextlib.closing(DevicePrefetcher(stream, place, count + 1)) as prefetcher:
            state, array = self._state, next(prefetcher)  # the first one starts the workers
            meter.report()
            for number in range(count):
                steps = self._system.schedule(number)
                for order, name in enumerate(steps, start=1):
                    state, metrics = self._steps[name][0](state, array, np.int32(order == len(steps)))
                    throttle(state, metrics)
                meter.count_step(sum(self._steps[name][2] for name in steps))
                with meter.waiting():
                    array = next(prefetcher)
            jax.block_until_ready(state)
            speed = meter.report()
        self._state, seconds = state, 1 / speed["perf/steps_per_second"]
        flops = speed["perf/tflops_per_device"] * 1e12 * seconds
        found = self._measurement("training", self._config.data.batch_size, 0.0, [seconds], flops, 0, count)
        return [dataclasses.replace(found, data_wait=speed["perf/data_wait"])]

    def _data(self):
        """Return the batches of the first of `DATA` that this system can learn from, or None."""
        system, config = self._system, self._config
        for spec in DATA:
            with config.unlocked(), contextlib.suppress(UserError):
                config.data.train = spec
                parts = recipe.training_parts(config, system.needs, people=system.people, points=system.points)
                return recipe.training_batches(config, system, parts)
        return None

    def _measurement(
        self, program: str, rows: int, compile_s: float, times: Sequence[float], flops: float, size: int, calls: int = 0
    ) -> Measurement:
        return Measurement(
            system=self._subject.name,
            variant=self._subject.variant,
            size=self._size,
            precision=self._config.precision.compute,
            program=program,
            batch=rows,
            compile_s=compile_s,
            best_s=min(times),
            median_s=float(np.median(times)),
            p95_s=float(np.quantile(times, 0.95)),
            calls=calls or len(times),
            flops=flops,
            peak_bytes=size,
            ceiling=self._ceiling,
        )


def peak_bytes(compiled: jax.stages.Compiled) -> int:
    """Return the bytes of arguments, results and temporary arrays on one device; what is donated counts once."""
    used = compiled.memory_analysis()
    if used is None:
        return 0
    return used.argument_size_in_bytes + used.output_size_in_bytes + used.temp_size_in_bytes - used.alias_size_in_bytes
