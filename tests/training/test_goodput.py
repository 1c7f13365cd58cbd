"""Goodput: the share of the wall time since the first start that went into steps that are kept."""

import io
import json
import time

import pytest
from rich.console import Console

from l2s_jax.training import checkpoints, loop
from l2s_jax.training.progress import Meter
from tests.helpers.toy_system import Batches, build, toy_config


def test_waiting_and_what_is_excluded_are_not_in_steps():
    meter = Meter(8, in_steps=100.0)
    with meter.waiting():
        time.sleep(0.2)
    with meter.excluded():
        time.sleep(0.2)
    time.sleep(0.05)
    assert meter.in_steps == pytest.approx(100.05, abs=0.1)
    before = meter.in_steps
    meter.report()
    assert meter.in_steps == pytest.approx(before, abs=0.1)


def test_a_resumed_run_goes_on_with_the_time_of_the_first_start(tmp_path):
    memories = []
    for steps in (2, 4):
        config = toy_config(steps=steps)
        options = {"system": build(config), "batches": Batches(config), "evaluate": lambda variables: {"score": 0.0}}
        loop.train(config, tmp_path, **options, console=Console(file=io.StringIO()))
        newest = checkpoints.newest(tmp_path / "checkpoints" / "latest", print)
        memories.append(json.loads((newest / "meta.json").read_text())["progress"])
    first, second = memories
    assert first["began"] == second["began"]
    assert 0 < first["in_steps"] < second["in_steps"] < time.time() - first["began"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    shares = [line["perf/goodput"] for line in lines if "perf/goodput" in line]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)
