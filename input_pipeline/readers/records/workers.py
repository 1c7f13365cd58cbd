"""Shards written by several processes: they report over pipes, and stop when their pipe ends, however that comes."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from input_pipeline import processes
from input_pipeline.errors import UserError
from input_pipeline.readers.downloads.layout import RawSplit
from input_pipeline.readers.records import shards
from input_pipeline.readers.records.plan import Shard

_REPORT_SECONDS = 0.2

_KILLED = (
    "a process that wrote records ended before its time (for want of memory, if no other error stands above): run the "
    "same again with fewer --jobs"
)


class Work(NamedTuple):
    """What every process needs to know.

    Attributes:
      folder: of the records.
      raws: the splits.
      size: see `face.read`.
    """

    folder: Path
    raws: Mapping[str, RawSplit]
    size: int | None


class Tick(NamedTuple):
    """Faces read since the last report, and how many of them are broken."""

    faces: int
    broken: int


def write_all(work: Work, tasks: Sequence[Shard], jobs: int, report: Callable[[Tick], None]) -> None:
    """Writes shards, `jobs` at a time; one job works in this process.

    Raises:
      UserError: the disk refuses, or a process was killed. Shards that are done stay.
    """
    if min(jobs, len(tasks)) <= 1:
        for task in tasks:
            _write(work, task, lambda broken: report(Tick(1, int(broken))))
        return
    with processes.serving(_serve, work, min(jobs, len(tasks))) as pipes:
        rest = iter(tasks)
        idle = list(pipes)
        busy: set[Connection] = set()
        while True:
            for pipe, task in zip(tuple(idle), rest, strict=False):
                _send(pipe, task)
                idle.remove(pipe)
                busy.add(pipe)
            if not busy:
                return
            for pipe in wait(busy):
                if (tick := _receive(pipe)) is None:
                    busy.remove(pipe)
                    idle.append(pipe)
                else:
                    report(tick)


def _send(pipe: Connection, task: Shard) -> None:
    try:
        pipe.send(task)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise UserError(_KILLED) from error


def _receive(pipe: Connection) -> Tick | None:
    """What a process says: faces read, or None for a shard that is done."""
    try:
        said = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise UserError(_KILLED) from error
    if isinstance(said, UserError):
        raise said
    return said


def _serve(pipe: Connection, work: Work) -> None:
    """The life of a process: shards come in; ticks, None (done) or a UserError go out."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = pipe.recv()
            reporter = _Reporter(pipe)
            try:
                _write(work, task, reporter)
                reporter.flush()
                pipe.send(None)
            except UserError as error:
                pipe.send(error)


class _Reporter:
    """Counts faces, and says so now and then."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe
        self._tick, self._said = Tick(0, 0), time.monotonic()

    def __call__(self, broken: bool) -> None:
        if self._pipe.poll():  # nothing comes while a shard is written, but the end
            raise EOFError
        self._tick = Tick(self._tick.faces + 1, self._tick.broken + broken)
        if time.monotonic() - self._said > _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._pipe.send(self._tick)
        self._tick, self._said = Tick(0, 0), time.monotonic()


def _write(work: Work, task: Shard, tick: Callable[[bool], None]) -> None:
    shards.write(work.folder, task, work.raws[task.split], work.size, tick)
