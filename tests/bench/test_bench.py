"""`l2s bench` from its command line to its files, on a system of one layer."""

import dataclasses
import json
import time
import types

import jax
import jax.numpy as jnp
import pytest

from l2s_jax import cli
from l2s_jax.bench import measure as bench_measure
from l2s_jax.bench import results
from l2s_jax.bench.measure import Plan, measure
from l2s_jax.bench.results import Measurement, Result
from l2s_jax.bench.subjects import subjects
from l2s_jax.bench.timing import timed
from l2s_jax.peaks import PEAKS
from tests.helpers import fake_system

ONE = Measurement("segface", "mini", 64, "float32", "parse", 1, 2.0, 0.1, 0.2, 0.3, 5, 4e9, 2**20, 8e10)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("bench")) as root:
        (root / "tiny.json").write_text(json.dumps(fake_system.fake_config().to_dict()))
        yield root


def bench(capsys, *argv):
    code = cli.main(["bench", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_its_file_and_the_ratios_to_it(place, capsys, monkeypatch):
    monkeypatch.setitem(PEAKS, "cpu", {"float32": 1e9})
    argv = ("--config", place / "tiny.json", "--batches", "1,2", "--seconds", 0, "--json", place / "speed.json")
    code, out, err = bench(capsys, *argv)
    assert code == 0
    found = results.load(place / "speed.json")
    assert [(one.program, one.batch) for one in found.measurements] == [
        ("parse", 1),
        ("parse", 2),
        ("reconstruct", 1),
        ("reconstruct", 2),
        ("step g", 2),
        ("step r1", 2),
        ("training", 2),
    ]
    product = 2 * 16 * 16 * 3 * len(fake_system.LABELS)  # a 1x1 convolution of a picture
    one, two, step, loop = (found.measurements[place] for place in (0, 1, 4, 6))
    assert (one.flops, two.flops) == (product, 2 * product)
    assert step.flops == 2 * product / found.devices * 2  # both pictures, forwards and for the gradient of the kernel
    assert one.system, one.variant == ("fake", "tiny")
    assert 0 < one.best_s <= one.median_s <= one.p95_s
    assert one.peak_bytes > 16 * 16 * 4 * 4
    assert [each.data_wait is None for each in found.measurements] == [True] * 6 + [False]
    assert 0 <= loop.data_wait <= 1
    rows = [line.split() for line in out.splitlines()]
    assert [row[3:5] for row in rows if row[:3] == ["tiny", "16", "f32"] and row[3] == "parse"] == [
        ["parse", "1"],
        ["parse", "2"],
    ]
    assert "tiny, 16 px, float32: step r1 ..." in err
    assert "MFU" in out

    code, out, _ = bench(capsys, *argv[:6], "--inference", "--compare", place / "speed.json")
    assert code == 0
    assert "times faster than before (cpu)" in out
    assert "only now: 0 programs; only before: 3" in out


def test_a_budget_says_what_it_left_out(place, capsys):
    code, out, _ = bench(capsys, "--config", place / "tiny.json", "--budget", 0, "--json", place / "none.json")
    assert code == 0
    assert "left out 7 programs:\n  tiny, 16 px, float32: parse, batch 1 (no time); parse, batch 4 (no time); " in out
    assert len(results.load(place / "none.json").left_out) == 7


def test_what_takes_long_keeps_only_its_kind_from_beginning(place, monkeypatch):
    """By a clock on which a program of inference lasts a second and a step 100."""
    (subject,) = subjects(config_names=(str(place / "tiny.json"),), batch=2)
    clock, kept = [0.0], []
    times = types.SimpleNamespace(monotonic=lambda: clock[0], perf_counter=time.perf_counter)
    monkeypatch.setattr(bench_measure, "time", times)

    def begin(name):
        clock[0] += 100 if "step" in name else 1

    plan = Plan((1,), 0.0, fewest=1, budget=150.0)
    done, left_out = measure([subject, subject], plan, begin, lambda done, _: kept.append(len(done)))
    assert [one.program for one in done] == ["parse", "reconstruct", "step g", "parse", "reconstruct"]
    assert [name.split(": ")[1] for name in left_out if "step" in name] == [
        "step r1 (no time)",
        "step g (no time)",
        "step r1 (no time)",
    ]
    assert kept[:3] == [1, 2, 3]  # saved after each


def test_what_does_not_fit_into_memory_is_left_out_and_the_rest_goes_on(place):
    (subject,) = subjects(config_names=(str(place / "tiny.json"),), batch=2)

    def too_large(state, batch, axis):
        return state, {"loss": jax.lax.sort(jax.lax.iota(jnp.float32, 2**42)).sum()}

    steps = subject.system.steps | {"g": too_large}
    subject = subject._replace(system=dataclasses.replace(subject.system, steps=steps))
    done, left_out = measure([subject], Plan((1,), 0.0, fewest=1), lambda name: None)
    assert left_out == ["tiny, 16 px, float32: step g (no memory)"]
    assert [one.program for one in done] == ["parse", "reconstruct", "step r1"]


def test_ratios_by_hand():
    old = Result("cpu", 1, [dataclasses.replace(ONE, median_s=0.6, ceiling=4e10), dataclasses.replace(ONE, batch=4)])
    (ratio,) = results.compare(Result("cpu", 1, [ONE]), old)
    assert ratio.faster == pytest.approx(3)
    assert ratio.normalised == pytest.approx(1.5)  # the machine itself is twice as fast
    assert ONE.images_per_second == 5
    assert ONE.flops_per_second == 2e10


def test_the_first_call_is_not_timed_and_time_is_bounded():
    calls = []
    assert len(timed(calls.append, 0.0)) == 3
    assert calls == [0, 1, 2, 3]
    assert len(timed(calls.append, 60.0)) == 100


def test_what_is_saved_is_what_is_loaded(tmp_path):
    result = Result("cpu", 2, [ONE, dataclasses.replace(ONE, data_wait=0.25)], ["mini: parse"])
    results.save(result, tmp_path / "a.json")
    assert results.load(tmp_path / "a.json") == result


def spoilt(**changes):
    row = dataclasses.asdict(ONE) | changes
    return {"l2s_bench": 1, "device": "cpu", "devices": 1, "measurements": [row], "left_out": []}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"rows": []},
        spoilt() | {"l2s_bench": 2},
        spoilt(batch="four"),
        spoilt(median_s=0),
        spoilt(flops=float("nan")),
        spoilt(system=3),
        spoilt(compile_s=None),
        spoilt(more=1),
        spoilt() | {"measurements": [None]},
    ],
)
def test_a_file_of_another_shape_is_one_sentence(tmp_path, capsys, content):
    (tmp_path / "old.json").write_text(json.dumps(content))
    code, _, err = bench(capsys, "--quick", "--compare", tmp_path / "old.json")
    assert code == 2
    assert "old.json' is no result of this version's bench: make it anew with `l2s bench --json FILE`\n" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--systems", "segfaced"], "unknown system 'segfaced'; there are: "),
        (["--backbones", "mobilnet"], "unknown backbone 'mobilnet'; did you mean 'mobilenet'?"),
        (["--config", "l2s_synthetik"], "unknown config 'l2s_synthetik'"),
        (
            ["--backbones", "mini", "--sizes", "100"],
            "mini cannot be measured at 100 px: image_size=100 must be a multiple",
        ),
        (["--backbones", "mini", "--precisions", "float64"], "precision.compute"),
        (["--batches", "1,3"], "2 devices cannot share a training step of 3 images"),
        (["--sizes", "64,x"], "argument --sizes: "),
        (["--seconds", "soon"], "'soon' is no number of seconds"),
        (["--compare", "nowhere.json"], "'nowhere.json' does not exist"),
    ],
)
def test_mistakes_are_one_sentence(place, capsys, argv, sentence):
    code, out, err = bench(capsys, *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
