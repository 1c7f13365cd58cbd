"""One pass over a source in parallel processes: every face is read once, and a row of statistics is kept."""

import contextlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import numpy as np

from input_pipeline import processes
from input_pipeline.audit.face_stats import look_at, row_dtype
from input_pipeline.errors import UserError
from input_pipeline.types import Problem, Source

_CHUNK = 32  # faces per task: long enough to hide the cost of sending it, short enough for a responsive progress bar


class Scan(NamedTuple):
    """The result of a scan.

    Attributes:
      facts: records [N] of `face_stats.row_dtype`, in the order of the source.
      broken: the faces that could not be read, and why, in that order.
    """

    facts: np.ndarray
    broken: list[Problem]


def scan(source: Source, *, jobs: int | None = None, progress: Callable[[int], None] = lambda faces: None) -> Scan:
    """Read every face of a source once and compute its statistics.

    Args:
      source: any source; it must be picklable if there are several jobs.
      jobs: processes; None is one for each CPU core this process may use. One job, or few faces, start no process.
      progress: called with the number of newly read faces.

    Raises:
      UserError: a process was killed from outside, e.g. for lack of memory, or the names cannot be read. Faces that
        cannot be read raise nothing.
    """
    facts, faults = np.zeros(len(source), row_dtype(source.label_set)), {}
    tasks = [range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK)]
    jobs = min(jobs or processes.cores(), len(tasks))
    results = _in_processes(source, tasks, jobs) if jobs > 1 else ((task, _look(source, task)) for task in tasks)
    for task, result in results:
        facts[task.start : task.stop], found = result
        faults.update(found)
        progress(len(task))
    return Scan(facts, [Problem(source.names[index], "", faults[index]) for index in sorted(faults)])


def _look(source: Source, task: range) -> tuple[np.ndarray, dict[int, str]]:
    """Return rows of statistics, and the errors of the faces that cannot be read, by their index."""
    facts, faults = np.zeros(len(task), row_dtype(source.label_set)), {}
    for row, index in enumerate(task):
        try:
            facts[row] = look_at(source[index], source.label_set)
        except UserError as error:
            faults[index] = str(error)
    return facts, faults


def _in_processes(
    source: Source, tasks: list[range], jobs: int
) -> Iterator[tuple[range, tuple[np.ndarray, dict[int, str]]]]:
    """Yield results as they arrive; every process holds one task, so at most `jobs` of them are pending."""
    rest = iter(tasks)
    with processes.serving(_serve, source, jobs) as idle:
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


def _serve(pipe: Connection, source: Source) -> None:
    """Run the loop of a worker process: receive tasks, send the results of `_look`."""
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send(_look(source, pipe.recv()))
