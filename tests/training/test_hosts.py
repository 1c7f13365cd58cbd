"""What ends one of two processes ends both, soon and with one sentence."""

import pytest

from experiments import hosts
from tests.helpers.two_hosts import Ended

SEED = "process 1 has another seed"


def test_another_seed_is_refused_by_both(tmp_path):
    assert hosts.faults(SEED, tmp_path, hosts.happen(SEED, tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["struck"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in hosts.EVENTS if name != SEED])
def test_both_end_as_one(tmp_path, name):
    assert hosts.faults(name, tmp_path, hosts.happen(name, tmp_path)) == []


def test_other_ends_are_noticed(tmp_path):
    both = [Ended(1, "Traceback\nKeyError: 1", 0.0), Ended(0, "l2s: one\nl2s: process 0 of 2 stopped: bug", 0.0)]
    assert hosts.faults("process 0 has a bug", tmp_path, both) == [
        "process 0 ends with 'KeyError: 1'",
        "process 1 ends with 0, not 2",
        "process 1 ends with 'l2s: process 0 of 2 stopped: bug'",
        "process 1 says more than one sentence",
    ]
