"""What ends one of two processes ends both, soon and with one sentence."""

import re

import pytest

from experiments import hosts
from l2s_jax.training import hosts as joining
from tests.helpers.two_hosts import Ended, joined_run, run_both

SEED = "process 1 has another seed"


def test_another_seed_is_refused_by_both(tmp_path):
    assert hosts.faults(SEED, tmp_path, hosts.happen(SEED, tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["struck"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in hosts.EVENTS if name != SEED])
def test_both_end_as_one(tmp_path, name):
    assert hosts.faults(name, tmp_path, hosts.happen(name, tmp_path)) == []


def host(process, port, workdir):
    """Process 0 waits for three seconds; process 1 never comes."""
    joining.JOIN_SECONDS = 3
    return 0 if process == 1 else joined_run(process, port, workdir, lambda: 0)


@pytest.mark.slow
def test_who_waits_in_vain_says_so(tmp_path):
    codes, (waiting, _) = run_both(__name__, tmp_path)
    assert codes == [2, 0]
    assert re.search(r"\nl2s: not all processes came to 127.0.0.1:\d+ within 3 seconds; start them all\n$", waiting)


def test_other_ends_are_noticed(tmp_path):
    both = [Ended(1, "Traceback\nKeyError: 1", 0.0), Ended(0, "l2s: one\nl2s: process 0 of 2 stopped: bug", 0.0)]
    assert hosts.faults("process 0 has a bug", tmp_path, both) == [
        "process 0 ends with 'KeyError: 1'",
        "process 1 ends with 0, not 2",
        "process 1 ends with 'l2s: process 0 of 2 stopped: bug'",
        "process 1 says more than one sentence",
    ]
