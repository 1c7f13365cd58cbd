"""The fault campaign in small, and that it would notice a promise that is not kept."""

import functools
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments import campaign, elastic
from experiments.faults import FAULTS, __main__, kills
from experiments.faults.place import Place
from experiments.faults.training import Broken
from l2s_jax.training import checkpoints
from l2s_jax.training.checkpoints import Checkpoint
from l2s_jax.training.workdir import LATEST, METRICS
from l2s_jax.types import TrainState


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("faults"), steps=24, seed=0)
    assert __main__.attempt(place, Place.train_in_peace)[0]
    return place


@pytest.mark.slow
@pytest.mark.parametrize("fault", [functools.partial(kills.kills, first=0, count=2), *FAULTS.values()])
def test_what_is_promised_is_kept(place, fault):
    held, cells = __main__.attempt(place, fault)
    assert held, cells


@pytest.mark.slow
def test_any_number_of_processes_goes_on_with_the_same_batches(tmp_path):
    told, failed = elastic.campaign(tmp_path, batches=24, seed=1)
    assert failed == 0, told
    assert re.fullmatch(r"4 killed at batch \d+, 1 killed at batch \d+, 3 to the end: 24 batches .*", told)


def save(workdir: Path, step: int, number: float, position: int = 8) -> None:
    state = TrainState(jnp.int32(step), jax.random.key(0), {"w": jnp.full(3, number)}, {}, {}, {})
    checkpoints.save(workdir / LATEST, Checkpoint(state, {"step": position}, {}), 9).result()


def test_the_campaign_notices_other_bits_and_lost_checkpoints(tmp_path):
    place = Place(tmp_path, steps=24, seed=0)
    wanted, other = place.undisturbed(), place.disturbed()
    for run in (wanted, other):
        for step in (4, 8):
            save(run.workdir, step, 1.5)
        (run.workdir / METRICS).write_text(json.dumps({"step": 8, "time": 1, "train/loss": 2.5}) + "\n")
    assert place.compare(other) == "same bits at batch 8"
    save(other.workdir, 8, 1.5, position=7)
    with pytest.raises(Broken, match="state at batch 8 differs"):
        place.compare(other)
    save(other.workdir, 8, 1.5000001)
    with pytest.raises(Broken, match="state at batch 8 differs"):
        place.compare(other)
    save(other.workdir, 8, 1.5)
    (other.workdir / METRICS).write_text(json.dumps({"step": 8, "train/loss": 2.6}) + "\n")
    with pytest.raises(Broken, match="losses differ"):
        place.compare(other)
    (other.latest / "00000008" / "meta.json").write_text("{}")
    with pytest.raises(Broken, match="a finished checkpoint is lost"):
        other.newest()


def test_a_line_that_a_kill_cut_off_does_not_count(tmp_path):
    elastic.notes(tmp_path, 0, 4).write_text("[0, [1, 2, 3]]\n[1, [4, 5")
    assert elastic.noted(tmp_path, 0, 4) == [(0, [1, 2, 3])]
    assert elastic.noted(tmp_path, 1, 4) == []


def test_rows_that_held_are_not_earned_again(tmp_path, capsys):
    calls = []

    def part(name, held=True):
        calls.append(name)
        return held, [name.upper()]

    def table(**settings):
        parts = {"a": lambda: part("a"), "b": lambda: part("b", held=False)}
        return campaign.table(tmp_path / "rows.json", settings, ("part", "seen"), parts)

    assert table(seed=0) == 1
    first = capsys.readouterr().out
    assert first.splitlines() == ["| part | seen |", "|---|---|", "| a | A |", "| b | B |"]
    assert table(seed=0) == 1
    assert capsys.readouterr().out == first
    assert calls == ["a", "b", "b"]
    table(seed=1)
    assert calls == ["a", "b", "b", "a", "b"]
