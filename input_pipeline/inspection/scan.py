"""One pass over a source in parallel processes: every face is read once, and a row of facts is kept."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import numpy as np

from input_pipeline.errors import UserError
from input_pipeline.inspection.facts import look_at, row_dtype
from input_pipeline.layouts.contract import Problem
from input_pipeline.sources import Source

_CHUNK = 32  # faces of one task: long enough to hide its hand-over, short enough for a lively progress bar
_STOP_SECONDS = 10  # a process stops after its task; one that takes longer is ended


class Scan(NamedTuple):
    """What a pass over a source found.

    Attributes:
      facts: records [N] of `facts.row_dtype`, in the order of the source.
      broken: the faces that could not be read, and why, in that order.
    """

    facts: np.ndarray
    broken: list[Problem]


def scan(source: Source, *, jobs: int | None = None, progress: Callable[[int], None] = lambda faces: None) -> Scan:
    """Reads every face of a source once.

    Args:
      source: any source; with several jobs, one that can be pickled.
      jobs: processes; None is one for each CPU core this process may use. One job, or few faces, start no process.
      progress: called with the number of faces that were added.

    Raises:
      UserError: a process was killed from outside, as for want of memory. Faces that cannot be read raise nothing.
    """
    facts, broken = np.zeros(len(source), row_dtype(source.label_set)), {}
    tasks = [range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK)]
    jobs = min(jobs or len(os.sched_getaffinity(0)), len(tasks))
    results = _in_processes(source, tasks, jobs) if jobs > 1 else ((task, _look(source, task)) for task in tasks)
    for task, result in results:
        facts[task.start : task.stop], broken[task.start] = result
        progress(len(task))
    return Scan(facts, [problem for start in sorted(broken) for problem in broken[start]])


def _look(source: Source, task: range) -> Scan:
    facts, broken = np.zeros(len(task), row_dtype(source.label_set)), []
    for row, index in enumerate(task):
        try:
            facts[row] = look_at(source[index], source.label_set)
        except UserError as error:
            broken.append(Problem(source.names[index], "", str(error)))
    return Scan(facts, broken)


def _in_processes(source: Source, tasks: list[range], jobs: int) -> Iterator[tuple[range, Scan]]:
    """Results as they come; every process holds one task, so no more than `jobs` of them wait anywhere."""
    rest = iter(tasks)
    with _processes(source, jobs) as idle:
        busy: dict[Connection, range] = {}
        try:
            while True:
                for pipe, task in zip(idle, rest, strict=False):
                    pipe.send(task)
                    busy[pipe] = task
                if not busy:
                    return
                idle = wait(busy)
                for pipe in idle:
                    yield busy.pop(pipe), pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError(
                "a process that read faces was killed, perhaps for want of memory: try again with fewer jobs"
            ) from error


@contextlib.contextmanager
def _processes(source: Source, count: int) -> Iterator[list[Connection]]:
    """Pipes to `count` processes that wait for tasks; the end of its pipe ends a process, however the parent ends."""
    # Spawned, not forked: a fork would copy the threads of this process in the middle of their work.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for _ in range(count):
            pipe, theirs = context.Pipe()
            pipes.append(pipe)
            process = context.Process(target=_serve, args=(theirs, source), daemon=True)
            process.start()
            processes.append(process)
            theirs.close()  # so that the pipe ends with either process
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()


def _serve(pipe: Connection, source: Source) -> None:
    """The life of a process: tasks come in, scans go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which then closes the pipes
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send(_look(source, pipe.recv()))
