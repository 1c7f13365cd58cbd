import multiprocessing
import os

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


def test_cores_are_those_of_this_process_or_all(monkeypatch):
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processes.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.cores() == 1
