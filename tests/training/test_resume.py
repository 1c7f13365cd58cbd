"""N steps == k steps, kill -9, resume, N - k steps: the same bits."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from l2s_jax.training import checkpoints, loop
from tests.helpers.toy_system import TRACES, Batches, build, toy_config

ROOT = Path(__file__).parents[2]
FIELDS = {"steps": 9, "save_every": 2, "eval_every": 4, "log_every": 3}

KILLED_RUN = """
import dataclasses, os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.training import test_resume

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def kill_in_a_save():
    while not list(Path(sys.argv[1]).glob("checkpoints/latest/.00000004.tmp/state*")):
        pass
    kill()

def deadly(system):
    def schedule(step):
        if sys.argv[3] == "save" and step == 3:
            threading.Thread(target=kill_in_a_save).start()
        if sys.argv[3] == "step" and step == 5:  # one step of work and the batches read ahead are lost
            while not Path(sys.argv[1], "checkpoints/latest/00000004").exists():
                pass
            kill()
        return system.schedule(step)
    return dataclasses.replace(system, schedule=schedule)

test_resume.run(sys.argv[1], deadly)
"""


def run(workdir, change=lambda system: system):
    """One command: trains, or goes on; returns the result and the iterator."""
    jax.config.update("jax_numpy_rank_promotion", "raise")
    config = toy_config(**FIELDS)
    system, stream = change(build(config)), Batches(config)
    screen = Console(file=io.StringIO(), width=200)
    score = lambda variables: {"score": float(np.abs(variables["decode"]).mean())}  # noqa: E731
    return loop.train(config, workdir, system=system, batches=stream, evaluate=score, console=screen), stream


def bits(state):
    return jax.device_get(state.replace(rng=jax.random.key_data(state.rng)))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The result of an undisturbed run, the position of its stream, and the batch that would have come next."""
    TRACES.clear()
    result, stream = run(tmp_path_factory.mktemp("straight"))
    assert dict(TRACES) == {"autoencoder": 1, "critic": 1, "critic_r1": 1}
    return result, stream.get_state(), next(stream)


@pytest.mark.parametrize(("within", "left"), [("step", 4), ("save", 2)])
def test_kill_and_resume_end_in_the_same_bits(straight, tmp_path, within, left):
    command = [sys.executable, "-c", KILLED_RUN, tmp_path, ROOT, within]
    child = subprocess.run(command, capture_output=True, timeout=300)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    latest = tmp_path / "checkpoints" / "latest"
    assert checkpoints.newest(latest, warn=pytest.fail).name == f"{left:08d}"
    assert (latest / ".00000004.tmp").exists() == (within == "save")
    (result, stream), (expected, position, batch) = run(tmp_path), straight
    assert result.step == expected.step == 9
    assert result.best == expected.best
    jax.tree.map(np.testing.assert_array_equal, bits(result.state), bits(expected.state))
    assert stream.get_state() == position == {"next": 9}
    jax.tree.map(np.testing.assert_array_equal, next(stream), batch)
