"""The study of doubt: the model it writes knows its pictures, and the table has every kind."""

import json

import numpy as np
import pytest

from experiments import doubt
from input_pipeline.datasets import open_source
from l2s_jax import Parser
from tests.helpers import fake_system


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("doubt")) as root:
        fake_system.save(root / "models" / "tiny", side=64)
        yield root


def test_it_fits_writes_and_measures(place, monkeypatch):
    monkeypatch.setattr(doubt, "SYNTHETIC", "synthetic:4?val")
    asked = ["tiny", "--trained-on", "synthetic:40", "--like", "synthetic:4?val", "--out", "models/doubting"]
    assert doubt.main([*asked, "--json", "found.json"]) == 0
    table = json.loads((place / "found.json").read_text())["doubt"]
    assert table["faces as they are"]["pictures"] == 4
    assert set(table) >= {"faces as training sees them", "pencil", "cartoon", "poster", "synthetic faces"}
    assert table["faces as they are"]["median"] < 1 < table["pencil"]["median"]
    drawn = ("pencil", "coloured pencil", "cartoon", "poster")
    assert len({table[kind]["median"] for kind in drawn}) == len(drawn)  # every kind is measured by itself
    face = open_source("synthetic:1?val", size=64)[0]["image"]
    parsing = Parser("doubting")(face)
    assert parsing.doubt == pytest.approx(parsing.familiar.doubt(np.asarray(face)))


def test_a_missing_model_is_one_sentence(place, capsys):
    assert doubt.main(["nobody", "--trained-on", "synthetic:4", "--like", "synthetic:4", "--out", "x"]) == 2
    assert capsys.readouterr().err.startswith("doubt: ")
