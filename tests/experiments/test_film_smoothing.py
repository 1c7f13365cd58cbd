"""The study of flicker: what counts, and a table for every weight."""

import json

import numpy as np

from experiments import film_smoothing
from tests.helpers import fake_system


def test_flicker_counts_changes_that_the_truth_does_not_make():
    truth = np.array([[[0, 0, 1, 1]], [[0, 0, 1, 2]]])
    ids = np.array([[[0, 1, 1, 1]], [[0, 0, 1, 2]]])
    assert film_smoothing.flicker(ids, truth) == 1 / 3
    assert film_smoothing.flicker(truth, truth) == 0


def test_each_weight_has_a_row(tmp_path, monkeypatch):
    fake_system.install(monkeypatch)
    fake_system.save(tmp_path / "tiny")
    argv = [
        str(tmp_path / "tiny"),
        "--people",
        "2",
        "--frames",
        "3",
        "--size",
        "16",
        "--json",
        str(tmp_path / "f.json"),
    ]
    assert film_smoothing.main(argv) == 0
    rows = json.loads((tmp_path / "f.json").read_text())
    assert [row["weight"] for row in rows] == list(film_smoothing.WEIGHTS)
    assert rows[-1]["flicker"] < rows[0]["flicker"]
