"""Training on people and landmarks: data that the model cannot take are refused before it begins, or when read."""

import numpy as np
import pytest

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from input_pipeline.loading.views import KnownPeople
from input_pipeline.selection import Subset
from input_pipeline.types import people_of
from l2s_jax import evaluation, recipe, systems
from tests.helpers import tiny_recognition as tiny


class Album:
    """Faces that do not say how many people they show."""

    label_set = CELEBAMASK

    def __init__(self, identity, points=68):
        self.identity, self.points = identity, points
        self.names = tuple(map(str, identity))

    def __len__(self):
        return len(self.identity)

    def __getitem__(self, index):
        return {
            "image": np.zeros((8, 8, 3), np.uint8),
            "landmarks": np.zeros((self.points, 2), np.float32),
            "identity": np.int32(self.identity[index]),
        }


def parts(system, train, **changes):
    config = tiny.config(system, data__train=train, **changes)
    built = systems.build(config)
    return recipe.training_parts(config, built.needs, people=built.people, points=built.points)


def test_sources_say_how_many_people_they_show():
    assert people_of(open_source("synthetic:12/4", size=16)) == 4
    assert people_of(open_source("synthetic:12", size=16)) == 12
    assert people_of(Subset(open_source("synthetic:12/4", size=16), 0, 3)) == 4
    assert people_of(Album([0, 5])) is None


def test_too_many_people_are_refused_before_training():
    assert len(parts("identity_encoder", f"synthetic:8/{tiny.PEOPLE}")) == 1
    with pytest.raises(UserError, match=r"shows 7 people, and the model tells 6 apart: set model\.people=7"):
        parts("identity_encoder", "synthetic:8/7")


def test_a_person_beyond_the_centres_is_refused_when_read():
    view = KnownPeople(Album([5, 6]), tiny.PEOPLE)
    assert view[0]["identity"] == 5
    with pytest.raises(UserError, match=r"a face shows person 6, .* set model\.people above 6"):
        view[1]


def test_another_number_of_landmarks_is_refused(monkeypatch):
    system = systems.build(tiny.config("landmark_regressor"))
    assert evaluation.lacking(Album([0]), system.needs, system.points) == ""
    evaluation.check_scored(system, Album([0]))
    with pytest.raises(UserError, match="landmark_regressor is scored by 68 landmarks, which these faces do not have"):
        evaluation.check_scored(system, Album([0], points=5))
    monkeypatch.setattr(recipe.datasets, "open_mixture", lambda *_, **__: [(1.0, Album([0], points=106))])
    with pytest.raises(UserError, match=r"learns from 68 landmarks, and data\.train='album' has faces without"):
        parts("landmark_regressor", "album")


def test_nothing_is_missing_in_empty_data():
    assert evaluation.lacking(Album([]), ("image", "identity", "landmarks"), 68) == ""
