"""Where scalars go: JSON lines, TensorBoard, the console. The method names are those of `clu.metric_writers`."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tensorboardX import SummaryWriter

from input_pipeline import files
from input_pipeline.errors import UserError

Scalars = Mapping[str, float]
Images = Mapping[str, np.ndarray]


class Writer:
    """What the loop expects of a writer; each kind overrides what it can show."""

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Records numbers by name, e.g. `train/loss`."""

    def write_images(self, step: int, images: Images) -> None:
        """Records pictures by name, uint8 [N, H, W, 3]."""

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Records the flat config."""

    def flush(self) -> None:
        """Brings everything to disk."""

    def close(self) -> None:
        """Flushes and releases the files."""


class JsonlWriter(Writer):
    """`metrics.jsonl`: `{"step": int, "time": seconds since 1970, NAME: float, ...}`, one object a line."""

    def __init__(self, path: str | os.PathLike, resumed_step: int, warn: Callable[[str], None]):
        """Continues a history: lines after `resumed_step` are dropped, because they will be written again.

        Args:
          path: of the file, which need not exist.
          resumed_step: the step that the run goes on from.
          warn: gets a sentence where lines are damaged, but for a last one that a crash cut short; they are dropped.

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
        """Appends one line; a number that is not finite is left out, because JSON has no NaN."""
        line = {"step": step, "time": round(time.time(), 3)}
        line |= {name: float(value) for name, value in scalars.items() if math.isfinite(value)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # a killed run keeps its history

    def flush(self) -> None:
        """Brings the lines to disk."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardWriter(Writer):
    """The same scalars, and pictures, as TensorBoard event files."""

    def __init__(self, folder: str | os.PathLike, resumed_step: int):
        """Continues a history: TensorBoard hides events after `resumed_step`.

        Raises:
          UserError: the folder cannot be written.
        """
        try:
            self._summary = SummaryWriter(str(folder), purge_step=resumed_step + 1 if resumed_step else None)
        except OSError as error:
            raise UserError(f"cannot write {folder} ({error.strerror}); choose another --workdir") from error

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """One event per number."""
        for name, value in scalars.items():
            self._summary.add_scalar(name, value, step)

    def write_images(self, step: int, images: Images) -> None:
        """One grid per name, uint8 [N, H, W, 3]."""
        for name, batch in images.items():
            self._summary.add_images(name, batch, step, dataformats="NHWC")

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """The config as a text panel."""
        rows = [f"| {name} | {value} |" for name, value in hparams.items()]
        self._summary.add_text("config", "\n".join(["| field | value |", "|---|---|", *rows]))

    def flush(self) -> None:
        """Brings the events to disk."""
        self._summary.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._summary.close()


class ConsoleWriter(Writer):
    """One plain line per write, for logs and pipes."""

    def __init__(self, console: Console):
        self._console = console

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """`step 100  train/loss 0.1234  ...`."""
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        self._console.print(f"step {step}  {numbers}", markup=False, highlight=False, soft_wrap=True)


class MultiWriter(Writer):
    """Gives everything to several writers."""

    def __init__(self, writers: Sequence[Writer]):
        self._writers = tuple(writers)

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """To all writers."""
        for writer in self._writers:
            writer.write_scalars(step, scalars)

    def write_images(self, step: int, images: Images) -> None:
        """To all writers."""
        for writer in self._writers:
            writer.write_images(step, images)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """To all writers."""
        for writer in self._writers:
            writer.write_hparams(hparams)

    def flush(self) -> None:
        """All writers."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """All writers."""
        for writer in self._writers:
            writer.close()


def _drop_after(path: Path, step: int) -> int:
    """Keeps the whole lines of steps up to `step`; returns how many others are damaged, a last one cut short aside."""
    if not path.exists():
        return 0
    damaged = 0
    with files.replacing(path) as part, path.open("rb") as old, part.open("wb") as new:
        for line in old:
            row_step = _step_of(line)
            if row_step is None:
                damaged += line.endswith(b"\n")
            elif row_step <= step:
                new.write(line.rstrip(b"\n") + b"\n")  # a crash may have cut the end of the line alone
    return damaged


def _step_of(line: bytes) -> int | None:
    """The step of a line of the history; None for a damaged one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return step if type(step) is int else None
