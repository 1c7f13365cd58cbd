"""The ends of the command line: readers that leave, terminals that hang up, disks that are full."""

import errno
import io
import os
import subprocess
import sys

import pytest

from l2s_jax.commands.outlet import Outlet, outlets


class Failing(io.StringIO):
    """A stream without a file, on which nothing can be written."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_left_is_no_fault(number):
    outlet = Outlet(Failing(number))
    assert outlet.write("lost") == 4
    outlet.flush()
    assert outlet.error is None


def test_a_full_disk_is_remembered():
    outlet = Outlet(Failing(errno.ENOSPC))
    outlet.write("lost")
    assert outlet.error.errno == errno.ENOSPC


def test_the_streams_come_back():
    before = sys.stdout, sys.stderr
    with outlets() as out:
        assert sys.stdout is out
        assert isinstance(sys.stderr, Outlet)
    assert (sys.stdout, sys.stderr) == before


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["labels"],
        ["labels", "celebamask"],
        ["models"],
        ["data", "stats", "synthetic:2"],
        ["data", "check", "synthetic:2"],
        ["data", "show", "synthetic:2", "--out", "faces.png"],
    ],
    ids=" ".join,
)
def test_nobody_reads_the_output(argv, tmp_path):
    pipe = closed_pipe()
    child = subprocess.run(
        [sys.executable, "-m", "l2s_jax", *argv], stdout=pipe, stderr=subprocess.PIPE, cwd=tmp_path, timeout=120
    )
    os.close(pipe)
    assert (child.returncode, child.stderr) == (0, b"")


def test_nobody_reads_the_sentence_of_a_mistake():
    pipe = closed_pipe()
    child = subprocess.run([sys.executable, "-m", "l2s_jax", "prase"], stdout=pipe, stderr=pipe, timeout=120)
    os.close(pipe)
    assert child.returncode == 2


def test_output_that_cannot_be_written_is_one_sentence():
    with open("/dev/full", "w") as full:
        child = subprocess.run(
            [sys.executable, "-m", "l2s_jax", "labels"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert (child.returncode, child.stderr) == (2, "l2s: cannot write to standard output: No space left on device\n")


def test_a_process_without_output_works():
    closed = [sys.executable, "-c", "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"]
    child = subprocess.run([*closed, sys.executable, "-m", "l2s_jax", "labels"], capture_output=True, timeout=120)
    assert (child.returncode, child.stderr) == (0, b"")
