"""Accuracy against time: scores by size, and what cannot be measured."""

import io
import json

import pytest
from PIL import Image

from experiments import tradeoff
from tests.helpers import fake_system, tiny_segface


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_segface.save(tmp_path_factory.mktemp("tradeoff") / "tiny", tiny_segface.config(model__warp="none"))


def test_every_size_is_scored_and_timed(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tradeoff, "SECONDS", 0.0)
    out, table = tmp_path / "tradeoff.png", tmp_path / "tradeoff.json"
    argv = [str(tiny), "--data", "synthetic:3?val", "--sizes", "32", "--out", str(out), "--json", str(table)]
    assert tradeoff.main(argv) == 0
    (point,) = json.loads(table.read_text())["models"]["tiny"]["points"]
    assert point["size"] == 32
    assert point["ms"] > 0
    baseline = json.loads(table.read_text())["models"]["tiny"]["mean_mask"]
    assert 0 <= point["f1"] < baseline < 1  # it has learned nothing
    assert Image.open(io.BytesIO(out.read_bytes())).size == (792, 462)


def test_what_cannot_be_measured_is_one_sentence(tiny, tmp_path, monkeypatch, capsys):
    fake_system.install(monkeypatch)
    fake_system.save(tmp_path / "other")
    for model, sizes, sentence in (
        (tiny, "32,40", "must be multiples of 32"),
        (tmp_path / "other", "32", "of segface"),
    ):
        argv = [str(model), "--data", "synthetic:3?val", "--sizes", sizes, "--out", str(tmp_path / "no.png")]
        assert tradeoff.main(argv) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()
