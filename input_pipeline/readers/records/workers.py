"""Worker processes that write shards, report over pipes, and exit when their pipe closes."""

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
    """The arguments that all processes share.

    Attributes:
      folder: of the records.
      raws: the splits by name.
      size: see `face.read`.
    """

    folder: Path
    raws: Mapping[str, RawSplit]
    size: int | None


class Tick(NamedTuple):
    """A progress update: faces read since the last one, and how many of them are broken."""

    faces: int
    broken: int


def write_all(work: Work, tasks: Sequence[Shard], jobs: int, report: Callable[[Tick], None]) -> None:
    """Write shards, `jobs` at a time; a single job runs in this process.

    Raises:
      UserError: the write fails, or a process was killed. Finished shards stay.
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
    """Receive a message of a process: faces read, or None for a finished shard."""
    try:
        said = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise UserError(_KILLED) from error
    if isinstance(said, UserError):
        raise said
    return said


def _serve(pipe: Connection, work: Work) -> None:
    """Run the loop of a worker process: receive shards; send ticks, None (done) or a UserError."""
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
    """A callable that counts faces and reports them from time to time."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe
        self._tick, self._said = Tick(0, 0), time.monotonic()

    def __call__(self, broken: bool) -> None:
        if self._pipe.poll():  # nothing arrives while a shard is written, except the end of the pipe
            raise EOFError
        self._tick = Tick(self._tick.faces + 1, self._tick.broken + broken)
        if time.monotonic() - self._said > _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._pipe.send(self._tick)
        self._tick, self._said = Tick(0, 0), time.monotonic()


def _write(work: Work, task: Shard, tick: Callable[[bool], None]) -> None:
    shards.write(work.folder, task, work.raws[task.split], work.size, tick)
