"""What ends one of two processes ends both, soon and with one sentence."""

import re
import signal

import pytest

from input_pipeline.errors import UserError
from l2s_jax.training import checkpoints, hosts, loop
from tests.helpers.toy_system import build, toy_config
from tests.helpers.two_hosts import SlowBatches, joined_run, run_both

STEPS = 400
"""More than the run gets to."""
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def host(process, port, workdir, event, victim):
    """One of the two processes; the event happens to number `victim`."""
    struck = process == int(victim)
    config = toy_config(steps=STEPS, save_every=5).unlock()
    config.seed = int(struck and event == "seed")

    def run():
        hosts.agree(config)
        if struck and event == "mistake":
            raise UserError("this folder is not here")
        if struck and event == "bug":
            raise ZeroDivisionError("a bug")
        batches = SlowBatches(config, process, 2, signal.Signals[event] if struck and event in SIGNALS else 0)
        scores = {"evaluate": lambda variables: {"score": 0.0}}
        return 128 + loop.train(config, workdir, system=build(config), batches=batches, **scores).interrupted

    return joined_run(process, port, workdir, run)


def ends(workdir, event, victim):
    """Return the exit codes, and the last line of each process."""
    codes, outputs = run_both(__name__, workdir, event, victim)
    assert all(text.count("l2s: ") <= 1 for text in outputs), outputs
    return codes, [text.strip().rpartition("\n")[2] for text in outputs]


def test_another_seed_is_refused_by_both(tmp_path):
    codes, (first, second) = ends(tmp_path, "seed", 1)
    assert codes == [2, 2]
    assert second.startswith("l2s: seed is 1 here and 0 in process 0; start all with the same command")
    assert first == f"l2s: process 1 of 2 stopped: {second.removeprefix('l2s: ')}"
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_mistake_that_one_meets_is_told_to_both(tmp_path, victim):
    codes, lines = ends(tmp_path, "mistake", victim)
    assert codes == [2, 2]
    assert lines[victim] == "l2s: this folder is not here"
    assert lines[1 - victim] == f"l2s: process {victim} of 2 stopped: this folder is not here"


@pytest.mark.slow
def test_a_bug_keeps_its_traceback_where_it_is_and_is_named_elsewhere(tmp_path):
    codes, (first, second) = ends(tmp_path, "bug", 0)
    assert codes == [1, 2]
    assert (first, second) == ("ZeroDivisionError: a bug", "l2s: process 0 of 2 stopped: ZeroDivisionError a bug")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_no_checkpoint_is_lost(tmp_path, victim):
    codes, lines = ends(tmp_path, "SIGKILL", victim)
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] == 2
    newest = int(checkpoints.newest(tmp_path / "checkpoints" / "latest", print).name)
    assert lines[1 - victim] == f"l2s: process {victim} of 2 is gone; the same command resumes from step {newest}"
    assert 20 <= newest <= 35  # it strikes before step 40, perhaps while a checkpoint is written


@pytest.mark.slow
@pytest.mark.parametrize(("event", "victim"), [("SIGTERM", 0), ("SIGTERM", 1), ("SIGINT", 1)])
def test_a_signal_to_one_stops_both_at_the_same_step(tmp_path, event, victim):
    codes, (first, _) = ends(tmp_path, event, victim)
    assert codes == [128 + signal.SIGTERM] * 2
    step = int(re.search(r"stopped and saved at step (\d+) of", first)[1])
    assert 37 <= step < STEPS / 2
    assert checkpoints.newest(tmp_path / "checkpoints" / "latest", print).name == f"{step:08d}"
