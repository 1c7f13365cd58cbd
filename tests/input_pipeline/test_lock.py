import errno
import fcntl
import subprocess
import sys

import pytest

from input_pipeline import lock
from input_pipeline.errors import UserError

HOLDER = """
import pathlib, sys, time
from input_pipeline import lock
with lock.hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_holder_leaves_no_lock(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(UserError, match=rf"^process {holder.pid} on .* works in '{tmp_path}': wait"),
            lock.hold(tmp_path),
        ):
            pass
        holder.kill()
    with lock.hold(tmp_path):
        assert str(holder.pid) not in (tmp_path / ".lock").read_text()


def test_a_disk_that_cannot_lock_is_refused_or_named(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    refusal = pytest.raises(UserError, match=r"cannot be locked \(No locks available\): choose a local disk")
    with refusal, lock.hold(tmp_path):
        pass
    said = []
    with lock.hold(tmp_path, unlocked=said.append):
        assert said == [f"the folder '{tmp_path}' cannot be locked (No locks available): let nothing else work there"]
