"""Killed, interrupted, out of room: what is done stays, nothing half-written has a final name, and the rest follows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from input_pipeline.readers.records.prepare import prepare
from tests.helpers.raw_faces import contents, data, make_faces

FACES = 12
PREPARE = """
import resource, signal, sys
from pathlib import Path
from tests.helpers.raw_faces import RawFaces, data
from input_pipeline.errors import UserError
from input_pipeline.readers.records.prepare import prepare

if __name__ == "__main__":
    # What a shell starts in the background ignores Ctrl-C, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    source, out, jobs, seconds, limit = sys.argv[1:]
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    raw = RawFaces(Path(source), tuple(f"face{k}" for k in range(12)), seconds=float(seconds), side=32)
    try:
        prepare(data({"": raw}), Path(out), jobs=int(jobs), shard_mb=1e-3)
    except UserError as error:
        print(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


class Run:
    """`prepare` of twelve faces in twelve shards, in a process (group) of its own."""

    def __init__(self, folder, *, jobs, seconds=0.0, limit=0):
        script = folder / "prepare_faces.py"
        script.write_text(PREPARE)
        self.out = folder / "out"
        argv = [sys.executable, str(script), str(folder / "raw"), str(self.out), str(jobs), str(seconds), str(limit)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            argv, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def done(self):
        """Shards that are done -> when they were written."""
        return {path.name: path.stat().st_mtime_ns for path in self.out.glob("faces-*.json")}

    def wait_for_shards(self, count):
        deadline = time.monotonic() + 30
        while len(self.done()) < count:
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def workers(self):
        """Process numbers of the children."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self):
        """(exit code, output)."""
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The records of an undisturbed run."""
    folder = tmp_path_factory.mktemp("clean")
    prepare(data({"": make_faces(folder / "raw", FACES, side=32)}), folder / "out", jobs=1, shard_mb=1e-3)
    return contents(folder / "out")


@pytest.fixture
def raw(tmp_path):
    return make_faces(tmp_path / "raw", FACES, side=32)


def finish(raw, folder):
    """The same command in this process."""
    prepare(data({"": raw}), folder / "out", jobs=1, shard_mb=1e-3)
    return contents(folder / "out")


def check_resumable(run, clean):
    """Nothing but whole files have their names; returns the shards that are done."""
    found = contents(run.out)
    assert "manifest.json" not in found
    for name, content in found.items():
        if not name.startswith("."):
            assert clean[name] == content
    return run.done()


@pytest.mark.parametrize("jobs", [1, 2])
def test_kill_9_and_again(tmp_path, raw, clean, jobs):
    run = Run(tmp_path, jobs=jobs, seconds=0.3)
    run.wait_for_shards(2)
    children = run.workers()
    run.process.kill()
    assert run.end()[0] == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in children):  # orphans would write on, beside the next run
        assert time.monotonic() < deadline
        time.sleep(0.01)
    before = check_resumable(run, clean)
    assert 2 <= len(before) < FACES
    assert finish(raw, tmp_path) == clean
    assert before.items() <= run.done().items()


def test_interrupt_stops_quickly(tmp_path, raw, clean):
    run = Run(tmp_path, jobs=2, seconds=0.3)
    run.wait_for_shards(1)
    done = run.done()
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    assert run.end() == (130, "")
    before = check_resumable(run, clean)
    # Counted in faces, of which two are read at a time, since a busy machine makes everything take longer.
    assert len(before) <= len(done) + 4
    assert not list(run.out.glob(".*.part"))
    assert finish(raw, tmp_path) == clean
    assert before.items() <= run.done().items()


def test_a_killed_worker_is_one_sentence(tmp_path, raw, clean):
    run = Run(tmp_path, jobs=2, seconds=0.3)
    run.wait_for_shards(1)
    os.kill(run.workers()[-1], signal.SIGKILL)
    code, output = run.end()
    assert code == 2
    assert output.startswith("a worker process ended before its time")
    check_resumable(run, clean)
    assert finish(raw, tmp_path) == clean


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_room_on_the_disk(tmp_path, raw, clean, jobs):
    """The kernel refuses to let files grow beyond 2500 bytes, less than one shard."""
    run = Run(tmp_path, jobs=jobs, limit=2500)
    code, output = run.end()
    assert code == 2
    assert output.count("\n") == 1
    assert "cannot write '" in output
    assert "File too large; make room and run the same again" in output
    assert check_resumable(run, clean) == {}
    assert not list(run.out.glob("*.array_record"))
    assert not list(run.out.glob(".*.part"))
    assert finish(raw, tmp_path) == clean
