import contextlib
import multiprocessing
import os
import signal
import time
import warnings

import cv2
import pytest
from PIL import Image

from input_pipeline import processes
from input_pipeline.errors import UserError


def add(shared, task):
    return shared + task, os.getpid()


def test_tasks_are_shared_among_processes_that_know_what_they_share():
    results = dict(processes.run(add, 10, range(9), 2))
    assert {task: total for task, (total, _) in results.items()} == {k: 10 + k for k in range(9)}
    assert os.getpid() not in {pid for _, pid in results.values()}
    assert not multiprocessing.active_children()


def settings(shared, task):
    """Return OpenCV's threads, whether Pillow's warning would be shown, and whether Ctrl-C is ignored."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("large", Image.DecompressionBombWarning, stacklevel=1)
    return cv2.getNumThreads(), len(caught), signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_process_wide_settings_are_made_there_and_not_here():
    threads, filters, interrupt = cv2.getNumThreads(), list(warnings.filters), signal.getsignal(signal.SIGINT)
    cv2.setNumThreads(3)
    try:
        assert list(processes.run(settings, None, [0], 1)) == [(0, (1, 0, True))]
        assert cv2.getNumThreads() == 3
        assert list(warnings.filters) == filters
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        cv2.setNumThreads(threads)


def sleep_or_fail(shared, task):
    if task == 0:
        return None
    if shared is not None:
        raise shared
    time.sleep(60)


def test_an_error_or_an_early_end_kills_the_others():
    start = time.monotonic()
    with pytest.raises(UserError, match="task 1"):
        list(processes.run(sleep_or_fail, UserError("task 1"), range(3), 2))
    with contextlib.closing(processes.run(sleep_or_fail, None, range(3), 2)) as results:
        assert next(results) == (0, None)
    assert not multiprocessing.active_children()
    assert time.monotonic() - start < 50  # the tasks take 60 seconds


def test_cores_are_those_of_this_process_or_all(monkeypatch):
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processes.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.cores() == 1
