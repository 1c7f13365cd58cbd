"""Progress displays: a live bar on a terminal, one line per log in a file or a pipe."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import TimeElapsedColumn

from input_pipeline.errors import printable
from l2s_jax import progress
from l2s_jax.training.writers import ConsoleWriter, Writer


class Meter:
    """Training speed since the last report, excluding compilation, evaluation and saving.

    Args:
      batch_size: images of a batch.
      peak: FLOP/s that a device can do at most, see peaks.py; None = not known.
      in_steps: seconds that earlier starts of the run spent in the steps that are kept.
    """

    def __init__(self, batch_size: int, peak: float | None = None, in_steps: float = 0.0):
        self._batch_size, self._peak, self._reported = batch_size, peak, in_steps
        self._reset()

    @property
    def in_steps(self) -> float:
        """Return the seconds spent in steps since the first start, without waiting for data."""
        return self._reported + self._seconds() - self._waited

    def _seconds(self) -> float:
        return max(time.perf_counter() - self._started - self._excluded, 1e-9)

    def _reset(self) -> None:
        self._started = time.perf_counter()
        self._steps, self._flops = 0, 0.0
        self._waited = self._excluded = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of this block as data wait: the next batch is not on the devices yet (see prefetch.py)."""
        begin = time.perf_counter()
        yield
        self._waited += time.perf_counter() - begin

    @contextlib.contextmanager
    def excluded(self) -> Iterator[None]:
        """Exclude the time of this block from training time."""
        begin = time.perf_counter()
        yield
        self._excluded += time.perf_counter() - begin

    def count_step(self, flops: float) -> None:
        """Count one batch trained on, and the operations of its steps on one device."""
        self._steps += 1
        self._flops += flops

    def report(self) -> dict[str, float]:
        """Return the speed, and reset the meter.

        Returns:
          `perf/steps_per_second`, `perf/images_per_second`;
          `perf/data_wait`: fraction of time, 0..1, that the loop waited for a batch; it is 0 if reading and transfer
          are hidden behind the steps;
          `perf/tflops_per_device`: 10^12 operations of convolutions and matrix products a second and device;
          `perf/mfu`: the same as a fraction of the device's peak, if that is known (model FLOP utilisation).
        """
        seconds = self._seconds()
        rate = self._steps / seconds
        report = {
            "perf/steps_per_second": rate,
            "perf/images_per_second": rate * self._batch_size,
            "perf/data_wait": min(self._waited / seconds, 1.0),
            "perf/tflops_per_device": self._flops / seconds / 1e12,
        }
        if self._peak:
            report["perf/mfu"] = self._flops / seconds / self._peak
        self._reported = self.in_steps
        self._reset()
        return report


class PlainDisplay(Writer):
    """Progress as text: one line per message and per log."""

    def __init__(self, console: Console, steps: int):
        self._console, self._steps = console, steps
        self._lines = ConsoleWriter(console)

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(self, *_):
        pass

    def message(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def advance(self, step: int) -> None:
        """Do nothing: plain output shows steps only when they are logged."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Print the scalars and the minutes left."""
        left = {"eta_minutes": _minutes_left(step, self._steps, scalars)}
        self._lines.write_scalars(step, {name.removeprefix("perf/"): x for name, x in scalars.items()} | left)


class LiveDisplay(Writer):
    """A progress bar with speed, data wait, time left, losses and the best score."""

    def __init__(self, console: Console, steps: int):
        self._steps = steps
        self._progress = progress.bar(console, time=TimeElapsedColumn(), transient=False)
        self._task = self._progress.add_task("training", total=steps, note="")

    def __enter__(self) -> "LiveDisplay":
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def message(self, text: str) -> None:
        """Print a sentence above the bar."""
        self._progress.console.print(printable(text), markup=False, highlight=False)

    def advance(self, step: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=step)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Show the scalars beside the bar."""
        speed = (
            f"{scalars['perf/steps_per_second']:.2f} steps/s · {scalars['perf/images_per_second']:.0f} images/s · "
            f"data wait {scalars['perf/data_wait']:.0%} · {_minutes_left(step, self._steps, scalars):.0f} min left"
        )
        losses = " · ".join(
            f"{name.removeprefix('train/')} {value:.3g}"
            for name, value in scalars.items()
            if not name.startswith("perf/")
        )
        self._progress.update(self._task, note=f"{speed}\n{losses}")


def display(console: Console, steps: int) -> PlainDisplay | LiveDisplay:
    """Return the display that suits the console, a context manager."""
    return (LiveDisplay if console.is_terminal else PlainDisplay)(console, steps)


def _minutes_left(step: int, steps: int, scalars: Mapping[str, float]) -> float:
    return (steps - step) / scalars["perf/steps_per_second"] / 60
