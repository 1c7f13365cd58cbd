"""The fault campaign in small, and that it would notice a promise that is not kept."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments import elastic, faults
from l2s_jax.training import checkpoints
from l2s_jax.training.checkpoints import Checkpoint
from l2s_jax.types import TrainState


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = faults.Place(tmp_path_factory.mktemp("faults"), kills=2, seed=0)
    place.prepare()
    return place


@pytest.mark.slow
@pytest.mark.parametrize("fault", [name for name in faults.ROWS if "processes" not in name])
def test_what_is_promised_is_kept(place, fault):
    assert faults.ROWS[fault](place)


@pytest.mark.slow
def test_any_number_of_processes_goes_on_with_the_same_batches(tmp_path):
    told, failed = elastic.campaign(tmp_path, batches=24, seed=1)
    assert failed == 0, told
    assert re.fullmatch(r"4 killed at batch \d+, 1 killed at batch \d+, 3 to the end: 24 batches .*", told)


def save(workdir: Path, step: int, number: float, position: int = 8) -> None:
    state = TrainState(jnp.int32(step), jax.random.key(0), {"w": jnp.full(3, number)}, {}, {}, {})
    checkpoints.save(workdir / faults.LATEST, Checkpoint(state, {"step": position}, {}), 9).result()


def test_the_campaign_notices_other_bits_and_lost_checkpoints(tmp_path):
    place = faults.Place(tmp_path, kills=1, seed=0)
    wanted, other = place.run("undisturbed"), place.run("other")
    for run in (wanted, other):
        for step in (4, 8):
            save(run.workdir, step, 1.5)
        (run.workdir / faults.METRICS).write_text(json.dumps({"step": 8, "time": 1, "train/loss": 2.5}) + "\n")
    assert place.compare(other) == "same bits at batch 8"
    save(other.workdir, 8, 1.5, position=7)
    with pytest.raises(faults.Broken, match="state at batch 8 differs"):
        place.compare(other)
    save(other.workdir, 8, 1.5000001)
    with pytest.raises(faults.Broken, match="state at batch 8 differs"):
        place.compare(other)
    save(other.workdir, 8, 1.5)
    (other.workdir / faults.METRICS).write_text(json.dumps({"step": 8, "train/loss": 2.6}) + "\n")
    with pytest.raises(faults.Broken, match="losses differ"):
        place.compare(other)
    (other.latest / "00000008" / "meta.json").write_text("{}")
    with pytest.raises(faults.Broken, match="a finished checkpoint is lost"):
        other.newest()


def test_a_line_that_a_kill_cut_off_does_not_count(tmp_path):
    elastic.notes(tmp_path, 0, 4).write_text("[0, [1, 2, 3]]\n[1, [4, 5")
    assert elastic.noted(tmp_path, 0, 4) == [(0, [1, 2, 3])]
    assert elastic.noted(tmp_path, 1, 4) == []
