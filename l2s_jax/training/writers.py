"""Writers of scalars: JSON lines, TensorBoard, the console. Method names as in `clu.metric_writers`."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from tensorboardX import SummaryWriter

from input_pipeline import files
from input_pipeline.errors import UserError

Scalars = Mapping[str, float]


class Writer:
    """The writer interface of the training loop; each subclass overrides what it can show."""

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Record numbers by name, e.g. `train/loss`."""

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Record the flat config."""

    def flush(self) -> None:
        """Flush everything to disk."""

    def close(self) -> None:
        """Flush and release the files."""


class JsonlWriter(Writer):
    """`metrics.jsonl`: `{"step": int, "time": seconds since 1970, NAME: float, ...}`, one object a line."""

    def __init__(self, path: str | os.PathLike, resumed_step: int, warn: Callable[[str], None]):
        """Continue a history: drop lines after `resumed_step`, because they will be written again.

        Args:
          path: the file, which need not exist.
          resumed_step: the step that the run resumes from.
          warn: called with a sentence if damaged lines were dropped; a last line cut short by a crash is no damage.

        Raises:
          UserError: the file cannot be written.
        """
        path = Path(path)
        try:
            if damaged := _drop_after(path, resumed_step):
                warn(f"{path} had {damaged} damaged line{'s' * (damaged > 1)}: left out")
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path} ({error.strerror}); choose another --workdir") from error

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Append one line; numbers that are not finite are left out, because JSON has no NaN."""
        line = {"step": step, "time": round(time.time(), 3)}
        line |= {name: float(value) for name, value in scalars.items() if math.isfinite(value)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # a killed run keeps its history

    def flush(self) -> None:
        """Flush the lines to disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardWriter(Writer):
    """A writer of the same scalars as TensorBoard event files."""

    def __init__(self, folder: str | os.PathLike, resumed_step: int):
        """Continue a history: TensorBoard hides events after `resumed_step`.

        Raises:
          UserError: the folder cannot be written.
        """
        try:
            self._summary = SummaryWriter(str(folder), purge_step=resumed_step + 1 if resumed_step else None)
        except OSError as error:
            raise UserError(f"cannot write {folder} ({error.strerror}); choose another --workdir") from error

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Write one event per number."""
        for name, value in scalars.items():
            self._summary.add_scalar(name, value, step)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Write the config as a text panel."""
        rows = [f"| {name} | {value} |" for name, value in hparams.items()]
        self._summary.add_text("config", "\n".join(["| field | value |", "|---|---|", *rows]))

    def flush(self) -> None:
        """Flush the events to disk."""
        self._summary.flush()

    def close(self) -> None:
        """Close the event file."""
        self._summary.close()


class ConsoleWriter(Writer):
    """A writer of one plain line per call, for logs and pipes."""

    def __init__(self, console: Console):
        self._console = console

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Print `step 100  train/loss 0.1234  ...`."""
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        self._console.print(f"step {step}  {numbers}", markup=False, highlight=False, soft_wrap=True)


class MultiWriter(Writer):
    """A writer that forwards everything to several writers."""

    def __init__(self, writers: Sequence[Writer]):
        self._writers = tuple(writers)

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Write to all writers."""
        for writer in self._writers:
            writer.write_scalars(step, scalars)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Write to all writers."""
        for writer in self._writers:
            writer.write_hparams(hparams)

    def flush(self) -> None:
        """Flush all writers."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """Close all writers."""
        for writer in self._writers:
            writer.close()


def _drop_after(path: Path, step: int) -> int:
    """Keep the complete lines up to `step`; return how many others are damaged, not counting a last one cut short."""
    if not path.exists():
        return 0
    damaged = 0
    with files.replacing(path) as part, path.open("rb") as old, part.open("wb") as new:
        for line in old:
            row_step = _step_of(line)
            if row_step is None:
                damaged += line.endswith(b"\n")
            elif row_step <= step:
                new.write(line.rstrip(b"\n") + b"\n")  # a crash may have cut off just the newline
    return damaged


def _step_of(line: bytes) -> int | None:
    """Return the step of a line of the history; None for a damaged one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return step if type(step) is int else None
