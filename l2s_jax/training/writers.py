"""Where scalars go: JSON lines, TensorBoard, the console. The method names are those of `clu.metric_writers`."""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tensorboardX import SummaryWriter

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

    def __init__(self, path: str | os.PathLike, resumed_step: int):
        """Continues a history: lines after `resumed_step` are dropped, because they will be written again.

        Raises:
          UserError: the file cannot be written.
        """
        path = Path(path)
        try:
            _drop_after(path, resumed_step)
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


def _drop_after(path: Path, step: int) -> None:
    """Keeps the complete lines of steps up to `step`; a line cut short by a crash goes too."""
    if not path.exists():
        return
    temporary = path.with_name(f".{path.name}.tmp")
    with path.open(encoding="utf-8") as old, temporary.open("w", encoding="utf-8") as new:
        for line in old:
            try:
                keep = json.loads(line)["step"] <= step
            except (ValueError, TypeError, LookupError):
                continue
            if keep:
                new.write(line)
    os.replace(temporary, path)
