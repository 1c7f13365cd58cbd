"""The study of de-identification on people whose pictures and identities are known."""

import json

import numpy as np
import pytest

from experiments import deidentification
from input_pipeline.errors import UserError
from tests.helpers import halves_system
from tests.helpers.halves_system import person, picture

PEOPLE = (0, 20, 90, 180)  # degrees


def source(spec, size, require_masks):
    """Two pictures of each person, who turn a little; or a pool of two strangers."""
    if spec == "pool":
        return [{"image": picture(person(degrees, 2), [0, 0, 0, 0], size)} for degrees in (90, 110)]
    return [
        {"image": picture(person(degrees + turn), [turn / 10, 0, 0, 0], size), "identity": np.int32(number)}
        for turn in (0, 4)
        for number, degrees in enumerate(PEOPLE)
    ]


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(deidentification, "open_source", source)
    halves_system.install(monkeypatch)
    for name in ("maker", "judge"):
        halves_system.save(tmp_path / name)
    return tmp_path


def test_people_are_found_before_and_lost_after(models, capsys):
    path = models / "scores.json"
    argv = [str(models / "maker"), "--judge", str(models / "judge"), "--data", "data", "--pool", "pool"]
    assert deidentification.main([*argv, "--thresholds", "0.5", "--k", "2", "--json", str(path)]) == 0
    scores = json.loads(path.read_text())["scores"]
    assert scores["own"] == scores["judge"]  # the same encoder twice
    for name in ("photo", "decoded"):
        assert scores["own"][name] == {"rank1": 1, "auc": 1}
    # All get the same strangers' mean, so one of the four is named, whoever is asked about.
    assert scores["own"]["mean of 2 nearest"]["rank1"] == pytest.approx(1 / 4)
    assert scores["own"]["mean of 2 nearest"]["auc"] == pytest.approx(0.5, abs=0.1)
    assert scores["own"]["cosine below 0.5"]["rank1"] <= 0.5
    assert scores["own"]["chance"] == {"rank1": 0.25, "auc": 0.5}
    out = capsys.readouterr().out
    assert "own       photo                    1.000   1.000" in out
    assert "judge     chance                   0.250   0.500" in out


def test_the_first_picture_is_the_gallerys():
    first, others = deidentification.split(np.array([3, 1, 3, 2, 1, 3]))
    np.testing.assert_array_equal(first, [1, 3, 0])
    np.testing.assert_array_equal(others, [2, 4, 5])
    with pytest.raises(UserError, match="nobody has two pictures"):
        deidentification.split(np.arange(4))


def test_mistakes_are_one_sentence(models, capsys):
    assert deidentification.main([str(models / "nobody")]) == 2
    assert capsys.readouterr().err.startswith("deidentification: no model")
    assert deidentification.main([str(models / "maker"), "--data", "pool"]) == 2
    assert capsys.readouterr().err == "deidentification: 'pool' does not say who is who: take synthetic:200/100\n"
