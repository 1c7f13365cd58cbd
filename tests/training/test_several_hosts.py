"""Two processes with two virtual devices each, as two hosts would be, against one process."""

import functools
import io
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

from l2s_jax.training import checkpoints, loop
from l2s_jax.training import workdir as layout
from tests.helpers.toy_system import Batches, build, toy_config
from tests.helpers.two_hosts import SlowBatches, joined_run, run_both

STEPS = 120


def run(workdir, mode, fsdp, batches=Batches):
    config = toy_config(steps=STEPS, log_every=3)
    with config.unlocked():
        config.parallel.mode, config.parallel.fsdp = mode, fsdp
    with layout.locked(workdir, print):
        return loop.train(
            config,
            workdir,
            system=build(config),
            batches=batches(config),
            evaluate=lambda variables: {"score": 0.0},
            console=Console(file=io.StringIO()),
        )


def host(process, port, workdir, layout):
    """One of the two processes; only the second one is told to stop."""
    mode, fsdp = layout.split(":")

    def stopped():
        assert (jax.process_count(), jax.device_count()) == (2, 4)
        strike = functools.partial(signal.raise_signal, signal.SIGTERM) if process == 1 else lambda: None
        result = run(workdir, mode, int(fsdp), lambda config: SlowBatches(config, process, 2, strike))
        return 128 + result.interrupted

    return joined_run(process, port, workdir, stopped)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return run(tmp_path_factory.mktemp("straight"), "jit", 1)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["jit:1", "jit:2", "shard_map:1"])
def test_two_hosts_stop_together_and_one_goes_on_with_the_same_numbers(straight, tmp_path, layout):
    codes, outputs = run_both(__name__, tmp_path, layout)
    assert codes == [128 + signal.SIGTERM] * 2, outputs
    assert 37 <= int(checkpoints.newest(tmp_path / "checkpoints" / "latest", print).name) < STEPS
    result = run(tmp_path, "jit", 1)
    assert result.step == STEPS
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        jax.device_get(result.state.replace(rng=None)),
        jax.device_get(straight.state.replace(rng=None)),
    )
