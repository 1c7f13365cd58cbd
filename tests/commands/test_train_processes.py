"""The words of `l2s train` that say which of several processes this is."""

import pytest

from l2s_jax import cli

ALL = {"--coordinator": "node1:9876", "--processes": "2", "--process": "1"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"--processes": "2"}, "go together"),
        ({"--coordinator": "node1:9876", "--process": "0"}, "go together"),
        (ALL | {"--coordinator": "node1"}, "--coordinator=node1 must be HOST:PORT"),
        (ALL | {"--coordinator": "node1:70000"}, "--coordinator=node1:70000 must be HOST:PORT"),
        (ALL | {"--process": "2"}, "--process=2 of --processes=2: the first one is 0"),
        (ALL | {"--process": "-1"}, "--process=-1 of --processes=2: the first one is 0"),
    ],
)
def test_a_process_that_is_named_wrongly_ends_before_it_waits_for_others(capsys, words, sentence):
    assert cli.main(["train", "--config", "demo", *(f"{flag}={word}" for flag, word in words.items())]) == 2
    assert sentence in capsys.readouterr().err


def test_a_cluster_leaves_nothing_to_name(capsys):
    assert cli.main(["train", "--config", "demo", "--cluster", *(f"{flag}={word}" for flag, word in ALL.items())]) == 2
    assert "without --cluster" in capsys.readouterr().err
