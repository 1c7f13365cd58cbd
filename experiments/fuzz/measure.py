"""Give inputs to a gate: what became of them, how long the slowest took, and how much memory."""

import collections
import contextlib
import dataclasses
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from input_pipeline.errors import UserError

SECONDS = 20
"""Longest time for one input."""


@dataclasses.dataclass(frozen=True)
class Gate:
    """Where untrusted input comes in.

    Attributes:
      share: of all inputs.
      inputs: strategy of the inputs.
      take: what is done with one.
    """

    share: float
    inputs: st.SearchStrategy
    take: Callable


@dataclasses.dataclass
class Outcome:
    """What became of the inputs of one gate.

    Attributes:
      count: inputs by outcome: "taken", "refused", "crashed", "hung".
      slowest: seconds.
      memory: the most that one input took, MiB.
      failures: inputs that crashed or hung, with the reason.
    """

    count: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    slowest: float = 0.0
    memory: float = 0.0
    failures: list[tuple[object, str]] = dataclasses.field(default_factory=list)


def measure(gate: Gate, inputs: int, seed: int) -> Outcome:
    """Give a gate `inputs` inputs."""
    outcome = Outcome()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(gate.inputs)
    def give(value):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        started, before = time.monotonic(), _memory("VmRSS")
        verdict, reason = _judged(gate.take, value)
        outcome.count[verdict] += 1
        outcome.slowest = max(outcome.slowest, time.monotonic() - started)
        outcome.memory = max(outcome.memory, _memory("VmHWM") - before)
        if reason:
            outcome.failures.append((value, reason))

    give()
    return outcome


def _judged(take: Callable, value: object) -> tuple[str, str]:
    try:
        with _limited():
            take(value)
    except UserError:
        return "refused", ""
    except TimeoutError:
        return "hung", f"no answer after {SECONDS} s"
    except Exception:
        return "crashed", traceback.format_exc()
    return "taken", ""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _memory(which: str) -> float:
    """Return a figure of /proc/self/status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024
