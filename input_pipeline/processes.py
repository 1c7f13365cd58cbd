"""Processes that serve this one over pipes, and end when their pipe ends, however that comes."""

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

_STOP_SECONDS = 10  # a process stops after what it reads; one that takes longer is ended

Work = TypeVar("Work")


def cores() -> int:
    """CPU cores that this process may use; where the system does not tell (macOS), all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def settle() -> None:
    """Sets what all libraries share in this process, which must be ours alone: a worker, or that of a command.

    OpenCV computes in the thread that calls it, since our processes are the parallelism, and Pillow does not warn of
    large pictures: `images` refuses them by its own limit and in its own words.
    """
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextlib.contextmanager
def serving(serve: Callable[[Connection, Work], None], work: Work, count: int) -> Iterator[list[Connection]]:
    """Pipes to `count` processes; when the block ends, their pipes do, and so must they.

    Args:
      serve: the life of a process: (its end of the pipe, work) -> None; must return when the pipe ends. A function of
        a module, as the processes import it.
      work: what every process needs to know; pickled.
      count: of the processes.
    """
    # Spawned, not forked: a fork would copy the threads of this process in the middle of their work.
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
            theirs.close()  # so that the pipe ends with either process
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
    """Ctrl-C reaches every process of a terminal; those started here inherit the mask and leave it to their parent."""
    resource_tracker.ensure_running()  # the first process would start it, and that unblocks
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
