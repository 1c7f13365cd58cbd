"""The study of films: one identity is still, the frames' own are as restless as the film."""

import json

import numpy as np
import pytest

from experiments import identity_track
from tests.helpers import halves_system
from tests.helpers.halves_system import person, picture


def film(seed, index, frames, size):
    """A person who turns by 10 degrees a frame, the second by 20."""
    turns = [10 * (index + 1) * frame for frame in range(frames)]
    return [picture(person(degrees), [0, seed, 0, 0], size) for degrees in turns]


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(identity_track, "track", film)
    halves_system.install(monkeypatch)
    for name in ("maker", "judge"):
        halves_system.save(tmp_path / name)
    return tmp_path


def test_one_identity_is_still(models, capsys):
    path = models / "scores.json"
    maker, judge = (str(models / name) for name in ("maker", "judge"))
    argv = [maker, "--judge", judge, "--people", "2", "--frames", "4", "--json", str(path)]
    assert identity_track.main(argv) == 0
    found = json.loads(path.read_text())
    assert found["films"] == 2
    assert found["own"] == found["judge"]  # the same encoder twice
    assert found["own"]["one_identity"]["consecutive"]["mean"] == pytest.approx(1, abs=1e-3)
    assert found["own"]["one_identity"]["variance"]["mean"] == pytest.approx(0, abs=1e-3)
    cosines = np.cos(np.deg2rad([10, 20]))
    for kind in ("photos", "own_identities"):
        consecutive = found["own"][kind]["consecutive"]
        assert consecutive["mean"] == pytest.approx(cosines.mean(), abs=2e-3)
        assert consecutive["std"] == pytest.approx(cosines.std(ddof=1), abs=2e-3)
    assert "own       one identity" in capsys.readouterr().out


def test_no_model_is_one_sentence(models, capsys):
    assert identity_track.main([str(models / "nobody")]) == 2
    assert capsys.readouterr().err.startswith("identity_track: no model")
