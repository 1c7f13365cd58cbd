"""Two processes with two virtual devices each, as two hosts would be, against one process."""

import dataclasses
import io
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from l2s_jax.training import checkpoints, loop
from l2s_jax.training import workdir as layout
from tests.helpers.toy_system import Batches, build, toy_config

ROOT = Path(__file__).parents[2]

ONE_HOST = """
import sys
sys.path.insert(0, sys.argv[5])
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{sys.argv[2]}", 2, int(sys.argv[3]))
from tests.training import test_several_hosts
test_several_hosts.run_host(sys.argv[1], sys.argv[4])
"""


def preempted(system):
    """The same system; this process gets SIGTERM when it begins step 5."""

    def schedule(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return system.schedule(step)

    return dataclasses.replace(system, schedule=schedule)


def run(workdir, mode, fsdp, process=(0, 1), change=lambda system: system):
    config = toy_config(steps=9, log_every=3)
    with config.unlocked():
        config.parallel.mode, config.parallel.fsdp = mode, fsdp
    with layout.locked(workdir, print):
        return loop.train(
            config,
            workdir,
            system=change(build(config)),
            batches=Batches(config, *process),
            evaluate=lambda variables: {"score": 0.0},
            console=Console(file=io.StringIO()),
        )


def run_host(workdir, layout):
    """One of the two processes; only the second one is told to stop."""
    mode, fsdp = layout.split(":")
    assert (jax.process_count(), jax.device_count()) == (2, 4)
    change = preempted if jax.process_index() == 1 else lambda system: system
    result = run(workdir, mode, int(fsdp), (jax.process_index(), 2), change)
    assert (result.step, result.interrupted) == (6, signal.SIGTERM)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return run(tmp_path_factory.mktemp("straight"), "jit", 1)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["jit:1", "jit:2", "shard_map:1"])
def test_two_hosts_stop_together_and_one_goes_on_with_the_same_numbers(straight, tmp_path, layout):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_HOST, str(tmp_path), port, str(index), layout, str(ROOT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for index in range(2)
    ]
    try:
        outputs = [host.communicate(timeout=300)[0].decode() for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], "\n".join(outputs)
    assert [path.name for path in checkpoints.checkpoints(tmp_path / "checkpoints" / "latest")] == ["00000006"]
    result = run(tmp_path, "jit", 1)
    assert result.step == 9
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        jax.device_get(result.state.replace(rng=None)),
        jax.device_get(straight.state.replace(rng=None)),
    )
