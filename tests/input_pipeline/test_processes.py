import multiprocessing
import os
import warnings

import cv2
from PIL import Image

from input_pipeline import processes


def add(pipe, work):
    """Sends WORK + what comes, until the pipe ends."""
    try:
        while True:
            pipe.send(work + pipe.recv())
    except EOFError:
        pass


def test_processes_know_their_work_and_end_with_their_pipes():
    with processes.serving(add, 10, 2) as pipes:
        for k, pipe in enumerate(pipes):
            pipe.send(k)
        assert [pipe.recv() for pipe in pipes] == [10, 11]
        children = multiprocessing.active_children()
        assert len(children) == 2
    assert all(pipe.closed for pipe in pipes)
    assert [child.exitcode for child in children] == [0, 0]


def shared(pipe, work):
    """Sends what this process shares: OpenCV's threads, and whether Pillow's warning would be shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("large", Image.DecompressionBombWarning, stacklevel=1)
    pipe.send((cv2.getNumThreads(), len(caught)))


def test_what_a_process_shares_is_set_there_and_not_here():
    threads, filters = cv2.getNumThreads(), list(warnings.filters)
    cv2.setNumThreads(3)
    try:
        with processes.serving(shared, None, 1) as pipes:
            assert pipes[0].recv() == (1, 0)
        assert cv2.getNumThreads() == 3
        assert list(warnings.filters) == filters
    finally:
        cv2.setNumThreads(threads)


def test_cores_are_those_of_this_process_or_all(monkeypatch):
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processes.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.cores() == 1
