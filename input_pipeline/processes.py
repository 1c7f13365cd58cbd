"""Run tasks in worker processes, which end with their parent, however it ends."""

import contextlib
import contextvars
import itertools
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import cv2
from PIL import Image

from input_pipeline.errors import UserError

SPAWN = multiprocessing.get_context("spawn")
"""How workers start: a fork would copy this process's threads in the middle of their work."""
_WAKE_SECONDS = 0.2  # the longest time between two calls of `tick`

_SHARED: contextvars.ContextVar[Any] = contextvars.ContextVar("shared")  # set once in each worker process
Task, Result = TypeVar("Task"), TypeVar("Result")


def cores() -> int:
    """Return the number of CPU cores this process may use; all cores if the system does not say (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def settle() -> None:
    """Set process-wide library options; for processes that are ours alone: a worker, or a command.

    OpenCV computes in the calling thread, since the parallelism comes from our processes, and Pillow does not warn of
    large images: `images.decode` refuses them with its own limit and message.
    """
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def begin_worker() -> None:
    """Tie this worker to its parent: it exits when that process ends, however suddenly, and for no other reason.

    Ctrl-C and a hang-up reach every process of a terminal, but the parent decides when its workers stop.
    """
    settle()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)  # whatever the other threads are waiting for


def run(
    function: Callable[[Any, Task], Result],
    shared: Any,
    tasks: Sequence[Task],
    jobs: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Task, Result]]:
    """Yield (task, `function(shared, task)`) as results arrive, computed in `jobs` worker processes.

    If anything is raised, by Ctrl-C too, or the iterator is closed (`contextlib.closing`), the workers are killed: what
    they leave half done is the caller's to remove.

    Args:
      function: a module-level function, since the workers import it.
      shared: pickled once for each worker.
      tasks: pickled one by one.
      jobs: number of processes, at least 1.
      tick: called in this process several times a second.

    Raises:
      UserError: a worker was killed from outside, and whatever `function` raises.
    """
    others = set(multiprocessing.active_children())
    executor = futures.ProcessPoolExecutor(jobs, SPAWN, initializer=_begin, initargs=(shared,))
    pending, rest = {}, iter(tasks)
    try:
        while True:
            for task in itertools.islice(rest, 2 * jobs - len(pending)):  # waiting takes time for each pending task
                with _interrupts_blocked():  # a worker may start here
                    pending[executor.submit(_call, function, task)] = task
            if not pending:
                return
            done, _ = futures.wait(pending, _WAKE_SECONDS, futures.FIRST_COMPLETED)
            tick()
            for future in done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process ended before its time (for want of memory, if no other error stands above): run the same "
            "again with fewer --jobs"
        ) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(shared: Any) -> None:
    begin_worker()
    _SHARED.set(shared)


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_SHARED.get(), task)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C while processes start: they inherit the mask, and only their parent handles the signal."""
    resource_tracker.ensure_running()  # the first process would start it, and that unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
