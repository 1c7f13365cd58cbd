"""`l2s train`, `evaluate`, `report` end to end with a tiny system: every file of the workdir, resuming, mistakes."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline import lock
from l2s_jax import bundle, cli
from l2s_jax.commands import demo
from l2s_jax.inference import parser
from l2s_jax.inference.model import load_model
from tests.helpers import fake_system

LABELS = fake_system.LABELS
OPTIONS = ["--config.train.steps=4", "--config.train.log_every=2", "--config.train.eval_every=2"]
PARSER = [*OPTIONS, "--config.model.codec=none"]
"""Without a codec, whose scores take most of the time of an evaluation."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with a trained run in runs/tiny."""
    with fake_system.working_directory(tmp_path_factory.mktemp("train")) as root:
        conf = fake_system.fake_config().unlock()
        conf.data.train, conf.data.eval = (f"folder:{root / 'faces'}?{split}" for split in ("train", "val"))
        conf.data.batch_size = conf.eval.batch_size = 4
        for split, count in [("train", 16), ("val", 6)]:
            draw_faces(root / "faces" / split, count)
        (root / "tiny.json").write_text(json.dumps(conf.to_dict()))
        assert cli.main(["train", "--config", "tiny.json", *OPTIONS]) == 0
        yield root


def draw_faces(folder, count: int) -> None:
    """Pictures in palette colours of several sizes, with their masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    (folder / "labels.json").write_text(json.dumps({"label_set": LABELS.name}))
    for n in range(count):
        image, ids = fake_system.painted(16 + 4 * (n % 3), 20)
        Image.fromarray(image).save(folder / "images" / f"{n}.png")
        Image.fromarray(ids).save(folder / "masks" / f"{n}.png")


def val(place) -> str:
    return f"folder:{place / 'faces'}?val"


def l2s(capsys, *argv) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_workdir_is_complete(place):
    run = place / "runs" / "tiny"
    expected = {"config.json", "metrics.jsonl", "tensorboard", "checkpoints", "model", "metrics.json"}
    assert expected | {"evaluation.npz", "report.html"} <= set(os.listdir(run))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines) == 4
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"] == {"spec": val(place), "examples": 6}
    assert set(metrics["segmentation"]["per_class"]) == set(LABELS.names)
    assert {"acs", "macro_acs", "leak", "dead_slices"} <= metrics["disentanglement"].keys()
    assert {"l1", "psnr"} <= metrics["reconstruction"].keys()
    assert metrics["segmentation"]["per_class"]["hair"]["f1"] > 0.8  # its training is real
    with np.load(run / "evaluation.npz", allow_pickle=False) as arrays:
        assert arrays["confusion"].shape == (len(LABELS), len(LABELS))


def test_one_training_at_a_time_works_in_a_workdir(place, capsys, tmp_path):
    run = place / "runs" / "tiny"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    with lock.hold(run):
        before[run / ".lock"] = (run / ".lock").stat().st_mtime_ns
        code, _, err = l2s(capsys, "train", "--config", "tiny.json", *OPTIONS, "--config.train.steps=6")
        assert code == 2
        assert re.match(r"l2s: process \d+ on .* works in 'runs/tiny': wait until it is done, or stop it\n", err)
        assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
        scored = ("evaluate", "--model", run, "--data", val(place), "--features", run, "--json", tmp_path / "s.json")
        assert l2s(capsys, *scored)[0] == 0
        assert "tiny (fake, " in json.loads((tmp_path / "s.json").read_text())["realism"]["features"]
        assert l2s(capsys, "report", run)[0] == 0
    (run / ".lock").write_text("process 1 on a machine that is gone")
    assert l2s(capsys, "train", "--config", "tiny.json", *OPTIONS)[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--config", "tiny.json", "--workdir", "gs://bucket/run"),
        ("parse", "faces/val/images/0.png", "--model", "runs/tiny", "--out", "gs://bucket/masks"),
        ("evaluate", "--model", "runs/tiny", "--data", "folder:faces?val", "--json", "gs://bucket/scores.json"),
        ("data", "show", "folder:faces?val", "--out", "gs://bucket/sheet.png"),
        ("data", "check", "folder:faces?val", "--json", "gs://bucket/check.json"),
        ("data", "stats", "folder:faces?val", "--json", "gs://bucket/stats.json"),
        ("convert", "segface", "faces/labels.json", "--out", "gs://bucket/model"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_addresses_are_no_places_to_write(place, capsys, words):
    code, _, err = l2s(capsys, *words)
    assert code == 2
    assert "is not on this machine: use a local folder and copy it, or mount the bucket" in err
    assert not (place / "gs:").exists()


def test_the_exported_model_is_the_trained_one(place):
    model = load_model("tiny")
    meta = model.meta
    assert meta.name == "tiny"
    assert meta.config["train"]["steps"] == 4
    assert meta.provenance["steps"] in (2, 4)
    assert meta.scores["data"] == val(place)
    assert meta.scores["examples"] == 6
    assert meta.mean_f1 == json.loads((place / "runs/tiny/metrics.json").read_text())["segmentation"]["mean_f1"]
    image, _ = fake_system.painted(20, 16)
    assert parser.Parser(model)(image).ids.shape == (20, 16)


def test_the_same_command_goes_on(place, capsys):
    more = [*OPTIONS, "--config.train.steps=6"]
    code, out, _ = l2s(capsys, "train", "--config", "tiny.json", *more)
    assert code == 0
    assert "resuming at step 4 of 6" in out
    assert "report" in out
    assert bundle.read_meta(bundle.resolve("tiny")).config["train"]["steps"] == 6


def test_evaluate_repeats_the_scores(place, capsys):
    argv = ["evaluate", "--model", "runs/tiny", "--data", val(place), "--batch", 4]
    code, out, err = l2s(capsys, *argv, "--json", "scores/all.json")
    assert (code, err) == (0, "")
    metrics = json.loads((place / "scores" / "all.json").read_text())
    trained = json.loads((place / "runs/tiny/metrics.json").read_text())
    assert metrics.keys() == trained.keys() | {"model"}
    assert metrics["segmentation"] == trained["segmentation"]
    assert metrics["model"]["sha256"] == bundle.read_meta(place / "runs/tiny/model").sha256
    assert os.listdir(place / "scores") == ["all.json"]
    assert "mean F1" in out
    assert all(label.title in out for label in LABELS.labels)


@pytest.mark.parametrize("field", ["data.framing=face", "data.resize=stretch-bicubic"])
def test_evaluate_shows_faces_as_the_model_knows_them(place, capsys, field):
    framed = [*PARSER, f"--config.{field}", "--workdir", "runs/framed"]
    shutil.rmtree("runs/framed", ignore_errors=True)
    assert l2s(capsys, "train", "--config", "tiny.json", *framed)[0] == 0
    argv = ["evaluate", "--model", "runs/framed", "--data", val(place), "--batch", 4, "--json", "framed.json"]
    assert l2s(capsys, *argv)[0] == 0
    assert bundle.read_meta("runs/framed/model").preprocessing.resize == (
        "stretch-bicubic" if "stretch" in field else "pad-square-bilinear"
    )
    metrics = json.loads((place / "framed.json").read_text())
    assert metrics["segmentation"] == json.loads((place / "runs/framed/metrics.json").read_text())["segmentation"]


def test_report_can_be_written_again(place, capsys):
    page = place / "runs" / "tiny" / "report.html"
    page.unlink()
    code, out, _ = l2s(capsys, "report", "runs/tiny")
    assert code == 0
    assert page.is_file()
    assert "runs/tiny/report.html" in out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["evaluate", "--model", "tiny", "--data", "nothing:1"], "unknown kind of data 'nothing'"),
        (["evaluate", "--model", "tiny", "--data", "folder:nowhere"], "nowhere"),
        (["evaluate", "--model", "tiny", "--data", "folder:faces?val", "--json", "tiny.json/x"], "cannot write into"),
        (["train", "--config", "tiny.json", "--config.seed=5", "--workdir", "runs/tiny"], "trained with seed=0"),
        (["train", "--config", "tiny.json", "--config.train.stepps=5"], "did you mean 'train.steps'"),
        (["train", "--config", "tiny.json", "--config.data.eval=folder:nowhere", "--workdir", "new"], "nowhere"),
        (["train", "--config", "tiny.json", "--workdir", "tiny.json/x", *OPTIONS], "tiny.json/x"),
        (["train", "--config", "tiny.json", "--config.data.test=folder:nowhere", "--workdir", "new"], "nowhere"),
        (
            ["train", "--config", "tiny.json", "--config.train.best_metric=segmentation.mean_f2", "--workdir", "new"],
            "is no score of label set 'l2s_regions'; did you mean 'segmentation.mean_f1'?",
        ),
        (
            ["train", "--config", "tiny.json", "--config.train.best_metric=segmentation.f1.nose", "--workdir", "new"],
            "no face of data.eval shows 'nose'",
        ),
        (
            ["train", "--config", "tiny.json", "--config.train.profile_step=10001", "--workdir", "new"],
            "train.profile_step=10001 comes after the last step, train.steps=10000",
        ),
        (["report", "scores_"], "there is no workdir"),
    ],
)
def test_mistakes_are_one_sentence(place, capsys, argv, sentence):
    before = sorted(os.listdir(place))
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert sorted(os.listdir(place)) == before


def test_a_broken_face_ends_training_in_one_sentence(place, capsys):
    draw_faces(place / "broken", 8)
    (place / "broken" / "images" / "5.png").write_bytes(b"not a picture")
    broken = [f"--config.data.train=folder:{place / 'broken'}", "--workdir", "stopped_by_data"]
    code, _, err = l2s(capsys, "train", "--config", "tiny.json", *OPTIONS, *broken)
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert "broken/images/5.png' is not a readable image" in err
    assert not (place / "stopped_by_data" / "model").exists()


def test_training_goes_on_when_nobody_reads_its_output(place, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["train", "--config", "tiny.json", *PARSER, "--workdir", "unread"]) == 0
    assert {"model", "report.html"} <= set(os.listdir(place / "unread"))


def test_a_signal_ends_with_its_code_and_exports_nothing(place, capsys, monkeypatch):
    import signal

    from l2s_jax import evaluation

    def stop(*args, **options):
        signal.raise_signal(signal.SIGTERM)
        return {"segmentation.mean_f1": 0.5}

    monkeypatch.setattr(evaluation, "score", stop)
    code, out, _ = l2s(capsys, "train", "--config", "tiny.json", *OPTIONS, "--workdir", "stopped")
    assert code == 128 + signal.SIGTERM
    assert "the same command resumes" in out
    assert not (place / "stopped" / "model").exists()


def test_demo_scores_unseen_faces(place, capsys, monkeypatch):
    monkeypatch.setattr("l2s_jax.config.experiments.shipped", lambda: {demo.CONFIG: Path("tiny.json")})
    (place / "configs").mkdir(exist_ok=True)
    (place / "configs" / "demo.py").write_text("def get_config():\n    raise SystemExit('not the demo')\n")
    test = f"--config.data.test={val(place)}"
    code, out, _ = l2s(capsys, "demo", "--workdir", "shown", *PARSER, test)
    assert code == 0
    assert json.loads((place / "shown/metrics.json").read_text())["data"]["spec"] == val(place)
    assert "shown/report.html" in out
    assert "l2s parse PHOTO" in out


def test_a_config_of_this_folder_is_named_before_it_is_run(place, capsys):
    (place / "configs").mkdir(exist_ok=True)
    (place / "configs" / "mine.py").write_text("def get_config():\n    raise ValueError('mine')\n")
    code, out, err = l2s(capsys, "train", "--config", "mine")
    assert (code, out) == (2, "config  configs/mine.py of this folder\n")
    assert err == "l2s: config file configs/mine.py, line 2: ValueError: mine\n"


def test_from_a_raw_folder_through_records_to_a_scored_model(place, capsys):
    records = place / "records"
    code, out, _ = l2s(capsys, "data", "prepare", place / "faces", "--layout", "folder", "--out", records)
    assert code == 0
    assert ["train", "16"] in [line.split()[:2] for line in out.splitlines()]
    run = place / "runs" / "from_records"
    mixture = f"0.75*records:{records}?train + 0.25*folder:{place / 'faces'}?train"
    held_out = f"records:{records}?val"
    data = [f"--config.data.train={mixture}", f"--config.data.eval={held_out}", "--config.data.balance=0.3"]
    assert l2s(capsys, "train", "--config", "tiny.json", "--workdir", run, *PARSER, *data)[0] == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"] == {"spec": held_out, "examples": 6}
    assert metrics["segmentation"]["per_class"]["hair"]["f1"] > 0.8  # its training is real
