"""Worker processes that serve their parent over pipes and exit when their pipe closes, even if the parent crashes."""

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import TypeVar

import cv2
from PIL import Image

_STOP_SECONDS = 10  # a process stops after the item it is reading; one that takes longer is terminated

Work = TypeVar("Work")


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


@contextlib.contextmanager
def serving(serve: Callable[[Connection, Work], None], work: Work, count: int) -> Iterator[list[Connection]]:
    """Yield pipes to `count` processes; when the block ends, the pipes close and the processes must exit.

    Args:
      serve: the main function of a process: (its end of the pipe, work) -> None; must return when the pipe closes. A
        module-level function, since the processes import it.
      work: the arguments that all processes share; pickled.
      count: number of processes.
    """
    # Spawned, not forked: a fork would copy this process's threads in the middle of their work.
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(count):
            pipe, theirs = context.Pipe()
            pipes.append(pipe)
            process = context.Process(target=_serve, args=(serve, theirs, work), daemon=True)
            with _interrupts_blocked():
                process.start()
            processes.append(process)
            theirs.close()  # so that the pipe closes when either process ends
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()


def _serve(serve: Callable[[Connection, Work], None], pipe: Connection, work: Work) -> None:
    settle()
    serve(pipe, work)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C, which reaches every process of a terminal: processes started here inherit the mask, and only their
    parent handles it."""
    resource_tracker.ensure_running()  # the first process would start it, and that unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
