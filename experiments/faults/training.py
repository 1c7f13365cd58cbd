"""A training of a small network that faults are done to: the real `l2s train`, in a process and workdir of its own."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from l2s_jax.training import checkpoints
from l2s_jax.training.workdir import LATEST, METRICS

EVERY = 4
"""Batches between checkpoints."""
ROWS = 12
"""Rows of a batch."""
SMALL = (
    "data.eval=synthetic:4?val",
    "data.test=synthetic:4?test",
    "image_size=20",
    "model.width=2",
    "stage=labels",
    f"data.batch_size={ROWS}",
    "data.blobs=8",
    "data.threads=1",
    "train.log_every=1",
    "train.eval_every=0",
    f"train.save_every={EVERY}",
)


class Broken(Exception):
    """A promise that was not kept."""


def check(kept: object, otherwise: str) -> None:
    """Raise `Broken` with a sentence unless something holds."""
    if not kept:
        raise Broken(otherwise)


class Training:
    """One workdir, and the command that trains there."""

    begun: ClassVar[list[subprocess.Popen]] = []
    """The processes of all trainings, to end those that a broken promise leaves behind."""

    def __init__(self, workdir: Path, steps: int, options: Sequence[str]):
        self.workdir, self.latest, self._steps, self._options = workdir, workdir / LATEST, steps, options

    def start(self, *options: str, steps: int = 0, program: Sequence[str] = ("-m", "l2s_jax")) -> subprocess.Popen:
        """Begin to train, or go on, up to a batch (0: to the end of the campaign's trainings)."""
        fields = [f"--config.{field}" for field in (*SMALL, f"train.steps={steps or self._steps}")]
        command = ["train", "--config", "svc_synthetic", "--workdir", str(self.workdir), *fields]
        words = [sys.executable, "-u", *program, *command, *self._options, *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.begun.append(subprocess.Popen(words, **pipes))
        return self.begun[-1]

    def finish(self, *options: str, steps: int = 0) -> str:
        """Train, or go on, as `start`; return what was printed."""
        return ended(self.start(*options, steps=steps), 0)[0]

    def harmed(self, harm: Callable[[subprocess.Popen], None], words: str, *options: str) -> None:
        """Train, and do harm once a checkpoint is there; check that it ends in a sentence with some words."""
        process = self.start(*options)
        while process.poll() is None and not checkpoints.checkpoints(self.latest):
            time.sleep(0.01)
        harm(process)
        _, sentence = ended(process, 2)
        check(words in sentence, sentence)

    def newest(self) -> int:
        """Return the step of the newest checkpoint, which must not be damaged; 0 if there is none."""
        found = checkpoints.checkpoints(self.latest)
        whole = checkpoints.newest(self.latest, lambda sentence: None) if found else None
        check(not found or whole == found[0], "a finished checkpoint is lost")
        return int(whole.name) if found else 0

    def writes(self, since: float) -> bool:
        """Tell whether a checkpoint is half-written that was begun after a time (`time.time()`)."""
        with contextlib.suppress(FileNotFoundError):  # finished in between
            return any(folder.stat().st_mtime > since for folder in self.latest.glob(".*.tmp"))
        return False

    def losses(self) -> dict[int, dict[str, float]]:
        """Return {batch: {name: value}} of what metrics.jsonl says of the training, but for its speed."""
        losses = {}
        for row in map(json.loads, (self.workdir / METRICS).read_text().splitlines()):
            losses.setdefault(row["step"], {}).update({name: row[name] for name in row if name.startswith("train/")})
        return losses


def until(process: subprocess.Popen, words: str) -> None:
    """Read what a training prints up to a line with some words."""
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return
    raise Broken(f"ended without '{words}': {read[-300:]} {process.stderr.read()[-300:]}")


def ended(process: subprocess.Popen, code: int) -> tuple[str, str]:
    """Wait for the end; return standard output and, if it is a mistake of the user (2), the sentence that says so."""
    out, err = process.communicate(timeout=300)
    check(process.returncode == code, f"exit code {process.returncode} and not {code}: {err[-300:]}")
    sentences = [line for line in err.splitlines() if line.startswith("l2s: ")]
    if code == 2:
        check(len(sentences) == 1 and "Traceback" not in err, f"more than a sentence: {err[-500:]}")
    return out, "".join(sentences)
