"""Read every face of a source once, in parallel processes, and keep a row of statistics of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from input_pipeline import processes
from input_pipeline.audit.face_stats import measure_face, row_dtype
from input_pipeline.errors import UserError
from input_pipeline.types import Problem, Source

_CHUNK = 32  # faces per task: long enough to hide the cost of sending it, short enough for a responsive progress bar


class Scan(NamedTuple):
    """The result of a scan.

    Attributes:
      stats: records [N] of `face_stats.row_dtype`, in the order of the source.
      broken: the faces that could not be read, and why, in that order.
    """

    stats: np.ndarray
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
    stats, faults = np.zeros(len(source), row_dtype(source.label_set)), {}
    tasks = [range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK)]
    jobs = min(jobs or processes.cores(), len(tasks))
    many = processes.run(_measure_chunk, source, tasks, jobs) if jobs > 1 else None
    for task, (rows, found) in many or ((task, _measure_chunk(source, task)) for task in tasks):
        stats[task.start : task.stop] = rows
        faults.update(found)
        progress(len(task))
    return Scan(stats, [Problem(source.names[index], "", faults[index]) for index in sorted(faults)])


def _measure_chunk(source: Source, task: range) -> tuple[np.ndarray, dict[int, str]]:
    """Return rows of statistics, and the errors of the faces that cannot be read, by their index."""
    stats, faults = np.zeros(len(task), row_dtype(source.label_set)), {}
    for row, index in enumerate(task):
        try:
            stats[row] = measure_face(source[index], source.label_set)
        except UserError as error:
            faults[index] = str(error)
    return stats, faults
