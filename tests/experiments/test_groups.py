"""Groups of faces: who is in which, and the scores beside those of the others."""

import numpy as np
import pytest

from experiments import groups
from input_pipeline.labels import CELEBAMASK
from l2s_jax.inference.model import load_model
from tests.helpers import fake_system

NAMES = CELEBAMASK.names


def test_masks_and_light_tell_the_groups():
    shares = np.zeros((4, len(NAMES)))
    shares[0, NAMES.index("eye_g")] = 0.1
    shares[1, [NAMES.index("l_ear"), NAMES.index("r_ear")]] = 0.1
    shares[2, NAMES.index("l_ear")] = 0.1
    shares[1:, NAMES.index("hair")] = 0.3
    found = {
        title: np.flatnonzero(inside).tolist()
        for title, inside in groups.groups(shares, np.array([np.nan, 90.0, 20.0, 200.0]), NAMES).items()
    }
    assert found["glasses"] == found["the least hair (a quarter)"] == [0]
    assert found["no ear seen"] == [0, 3]
    assert found["one ear seen"] == found["the darkest skin or light (a quarter)"] == [2]
    assert found["a hat"] == []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("groups")) as root:
        fake_system.save(root / "models" / "tiny", label_set=CELEBAMASK)
        fake_system.save(root / "models" / "other")
        yield root


class Flat:
    """Faces of one class each, in the colour by which the tiny model knows it."""

    label_set = CELEBAMASK
    ids = ("skin", "hair", "hat")

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, number):
        mask = np.full((16, 16), CELEBAMASK[self.ids[number]], np.uint8)
        mask[:8] = CELEBAMASK["skin"]
        image = CELEBAMASK.palette[mask]
        if self.ids[number] == "hat":
            image[8:] = CELEBAMASK.palette[0]  # this hat is not seen
        return {"image": image, "mask": mask}


def test_a_group_is_scored_beside_the_others(place):
    table = groups.measure(load_model("tiny"), Flat())
    assert table["all"]["faces"] == 3
    hat = table["a hat"]
    assert (hat["faces"], hat["others_f1"]) == (1, pytest.approx(1.0, abs=0.05))
    assert hat["f1"] == pytest.approx(0.5, abs=0.05)
    assert hat["hair"] is None


def test_other_classes_are_one_sentence(place, capsys):
    assert groups.main(["other", "--data", "synthetic:2"]) == 2
    assert "celebamask" in capsys.readouterr().err
