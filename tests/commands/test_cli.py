"""The words of the command line: help at once, mistakes in one sentence, exit codes, the small commands."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time

import pytest

from input_pipeline import labels
from l2s_jax import bundle, cli
from tests.helpers import fake_system

COMMANDS = [*cli.COMMANDS, *(f"{group} {name}" for group, names in cli.GROUPS.items() for name in names)]


@pytest.fixture
def place(tmp_path):
    with fake_system.working_directory(tmp_path) as root:
        yield root


def l2s(capsys, *argv) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *argv) -> str:
    """The sentence of a command that must fail as a user's mistake."""
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_help_is_immediate_and_imports_nothing_heavy():
    probe = (
        "import sys\n"
        "from l2s_jax import cli\n"
        "code = cli.main(sys.argv[1:])\n"
        "light = {'numpy'} if 'convert' in sys.argv else set()  # whose help reads the facts of all systems\n"
        "heavy = {'jax', 'numpy', 'rich', 'PIL', 'flax', 'grain'} & set(sys.modules) - light\n"
        "assert not heavy, heavy\n"
        "assert code == 0\n"
    )
    for argv in (["--help"], ["--version"], [], *([*name.split(), "--help"] for name in COMMANDS)):
        subprocess.run([sys.executable, "-c", probe, *argv], check=True, capture_output=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(capsys, name):
    code, out, _ = l2s(capsys, *name.split(), "--help")
    assert code == 0
    assert f"usage: l2s {name}" in out
    assert "examples:\n  l2s " + name in out
    assert max(map(len, out.splitlines())) <= 120


def test_version(capsys):
    assert l2s(capsys, "--version")[1].startswith("l2s 0.")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["prase", "x"], "unknown command 'prase'; did you mean 'parse'?"),
        (["frobnicate"], "unknown command 'frobnicate'; there are: demo, train,"),
        (["parse", "x", "--out", "y", "--bach", "3"], "does not take '--bach'; did you mean '--batch'?"),
        (["parse"], "the following arguments are required: PHOTO|FOLDER|VIDEO|-; see `l2s parse --help`"),
        (["parse", "x", "--out", "y", "--batch", "0"], "'0' is not a number above 0"),
        (["parse", "x", "--out"], "argument --out: expected one argument"),
        (["evaluate", "--model", "x"], "required: --data"),
        (["labels", "lappa"], "unknown label set 'lappa' (did you mean 'lapa'?)"),
        (["labels", "lapa", "--map", "lapa", "helen"], "either one SET or one --map"),
        (["labels", "--map", "fasseg", "celebamask"], "cannot be mapped to 'celebamask'"),
        (["data"], "required: COMMAND; see `l2s data --help`"),
        (["data", "--jobs"], "unrecognized arguments: --jobs; see `l2s data --help`"),
        (["edit"], "required: COMMAND; see `l2s edit --help`"),
        (["edit", "swop"], "unknown command 'edit swop'; did you mean 'swap'?"),
        (["train"], "needs --config NAME"),
        (["train", "--config", "no_such_config"], "unknown config 'no_such_config'"),
        (["train", "--config"], "--config needs a value"),
        (
            ["train", "--config", "a", "--wrkdir", "b"],
            "`l2s train` does not take '--wrkdir'; did you mean '--workdir'?",
        ),
        (["demo", "--config", "other"], "has its own config"),
        (["evaluate", "--model", "nothing", "--data", "synthetic:2"], "no model 'nothing'"),
        (["report", "nowhere"], "there is no workdir 'nowhere'"),
    ],
)
def test_mistakes_are_one_sentence(capsys, place, argv, sentence):
    assert sentence in refused(capsys, *argv)
    assert not [path for path in place.iterdir() if path.name not in ("cache", ".cache", ".config")]


def test_debug_shows_the_traceback(capsys):
    code, _, err = l2s(capsys, "labels", "lappa", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "l2s: unknown label set" in err


def test_other_errors_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("l2s_jax.commands.labels.run", lambda args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["labels"])


def test_interrupt_is_130(capsys, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("l2s_jax.commands.labels.run", interrupted)
    code, _, err = l2s(capsys, "labels")
    assert (code, err) == (130, "l2s: interrupted\n")


def test_control_characters_do_not_reach_the_terminal(capsys):
    assert "\x1b" not in refused(capsys, "labels", "\x1b[2Jlapa")


OWN = "--xla_cpu_experimental_ynn_fusion_type="


@pytest.mark.parametrize(
    ("version", "flags", "expected"),
    [("0.10.2", "", cli.EIGEN), ("0.10.0", "--a=1", f"{cli.EIGEN} --a=1"), ("0.10.2", OWN, OWN), ("0.11.0", "", "")],
)
def test_a_flag_of_xla_is_set_where_it_is_known_and_not_chosen(monkeypatch, version, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert cli.main(["labels"]) == 0
    assert os.environ["XLA_FLAGS"] == expected


def test_labels_lists_every_set_and_class(capsys):
    _, out, _ = l2s(capsys, "labels")
    assert all(name in out for name in labels.LABEL_SETS)
    _, out, _ = l2s(capsys, "labels", "celebamask")
    rows = [line.split() for line in out.splitlines()]
    assert all(
        any(row[:1] == [str(label.id)] and label.name in row for row in rows) for label in labels.CELEBAMASK.labels
    )
    row = next(row for row in rows if "l_eye" in row)
    assert row.count("r_eye") == 1


def test_labels_map_shows_where_each_class_goes(capsys):
    code, out, _ = l2s(capsys, "labels", "--map", "celebamask", "l2s_regions")
    assert code == 0
    table = labels.remap(labels.CELEBAMASK, labels.L2S_REGIONS)
    for label in labels.CELEBAMASK.labels:
        row = next(line.split() for line in out.splitlines() if line.split()[:2] == [str(label.id), label.name])
        assert row[2:] == ["->", str(table[label.id]), labels.L2S_REGIONS.names[table[label.id]]]


def test_models_lists_good_and_damaged_ones(capsys, place):
    code, out, _ = l2s(capsys, "models")
    assert code == 0
    assert "l2s-synthetic" in out
    fake_system.save(place / "models" / "tiny")
    fake_system.save(place / "runs" / "mine" / "model")
    scores = {"data": "synthetic:8?test", "examples": 8, "metrics": {"segmentation": {"mean_f1": 0.8125}}}
    bundle.rescore(place / "models" / "tiny", scores)
    fake_system.save(place / "models" / "broken")
    (place / "models" / "broken" / "model.json").write_text("{")
    code, out, _ = l2s(capsys, "models")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("tiny"))
    assert all(
        word in row for word in ("fake", "l2s_regions", "16 px", "0.812", "synthetic:8?test (8 faces)", "Apache")
    )
    assert any(line.startswith("mine") for line in out.splitlines())
    assert "damaged:" in out
    assert "broken" in out


@pytest.fixture
def fake_experiment(place):
    conf = fake_system.fake_config().unlock()
    conf.data.train, conf.data.eval = "synthetic:32", "synthetic:8?val"
    (place / "tiny.json").write_text(json.dumps(conf.to_dict()))
    return place / "tiny.json"


def test_dry_run_counts_without_allocating(capsys, fake_experiment):
    start = time.perf_counter()
    argv = ["train", "--config", fake_experiment, "--dry-run", "--devices", 1]
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["parser", "24", "-", "24"] in rows
    assert ["image", "16", "x", "16", "x", "16", "x", "3", "uint8"] in rows
    shares = {row[0]: float(row[1]) for row in rows if row and row[0] in ("g", "r1")}
    assert shares == {"g": 100.0, "r1": pytest.approx(100 / 16, abs=0.1)}
    assert "optimisers" in out
    assert time.perf_counter() - start < 20


def test_dry_run_of_a_loss_over_blobs(capsys):
    changes = {"loss.consensus.weight": 0.1, "data.blobs": 8, "image_size": 32, "data.resolution_schedule": "[]"}
    fields = [f"--config.{name}={value}" for name, value in changes.items()]
    code, out, _ = l2s(capsys, "train", "--config", "segface_mini", "--dry-run", "--devices", 1, *fields)
    assert code == 0
    assert "segface, 32 px, batch 16 on 1 device" in out


def test_dry_run_for_other_numbers_of_devices(capsys, fake_experiment):
    argv = ["train", "--config", fake_experiment, "--dry-run", "--config.image_size=512"]
    code, whole, _ = l2s(capsys, *argv, "--devices", 1)
    assert code == 0
    code, shared, _ = l2s(capsys, *argv, "--devices", 8)
    assert code == 0

    def row(text, name):
        return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])

    # "g 100.0 % of batches 302 MFLOP 37.8 MFLOP ...": all devices together, then one of them
    assert row(shared, "g")[5:7] == row(whole, "g")[5:7]
    assert float(row(shared, "g")[7]) == pytest.approx(float(row(whole, "g")[5]) / 8, rel=0.02)
    assert row(shared, "g")[8] == row(whole, "g")[6]
    assert row(shared, "image")[1] == "2"
    assert "do not fit 3 devices" in refused(capsys, *argv, "--devices", 3)
    assert "go with --dry-run" in refused(capsys, "train", "--config", fake_experiment, "--devices", 2)
    words = ("--topology", "v5e-8", "--device", "h100")
    assert "--topology says which devices there are" in refused(capsys, *argv, *words)


def test_dry_run_refuses_what_cannot_fit_a_device(capsys, fake_experiment):
    argv = ["train", "--config", fake_experiment, "--dry-run", "--config.image_size=512", "--devices", 4]
    code, out, _ = l2s(capsys, *argv, "--device", "v5e", "--config.train.accumulate=4")
    assert code == 0
    assert "batch 16 on 4 devices, 4 batches (64 examples) an update" in out
    assert "Fits v5e, which has 14.90 GiB." in out
    assert ["parameters", "parser/params", "replicated", "2"] in [line.split()[:4] for line in out.splitlines()]
    said = refused(capsys, *argv, "--device", "v5e", "--config.data.batch_size=32768")
    assert "on each device and v5e has 14.90 GiB; it would fit with --config.data.batch_size=" in said
    assert "--config.train.accumulate=" in said
    assert "unknown device 'h10' (did you mean 'h100'?)" in refused(capsys, *argv, "--device", "h10")
