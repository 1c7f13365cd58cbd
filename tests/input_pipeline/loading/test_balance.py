"""Repeat-factor sampling against factors computed by hand."""

import pickle

import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.loading.views import RepeatFactorSource, repeat_factors, round_systematically
from input_pipeline.selection import Subset, presence

SKIN, HAT, NECKLACE = (labels.CELEBAMASK[name] for name in ("skin", "hat", "neck_l"))


class Faces:
    """100 faces with skin; the first 4 wear a hat, faces 3..11 (9 of them) a necklace; counts the masks it reads."""

    label_set = labels.CELEBAMASK

    def __init__(self):
        self.names = [f"face{index}" for index in range(100)]
        self.masks_read = 0

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return {"image": np.full((4, 4, 3), index, np.uint8), "mask": self.read_mask(index)}

    def read_mask(self, index):
        self.masks_read += 1
        mask = np.full((4, 4), SKIN, np.uint8)
        mask[0] = 0
        mask[1, 0] = labels.IGNORE
        mask[2, 0] = HAT if index < 4 else SKIN
        mask[3, 0] = NECKLACE if 3 <= index < 12 else SKIN
        return mask


@pytest.fixture(scope="module")
def present():
    return presence(Faces())


def test_factors_by_hand(present):
    """t = 0.36: hat 0.04 -> sqrt(9) = 3, necklace 0.09 -> sqrt(4) = 2, skin 1 -> 1; the larger one counts."""
    np.testing.assert_allclose(repeat_factors(present, 0.36), [3] * 4 + [2] * 8 + [1] * 88, rtol=1e-15)


def test_common_classes_are_not_raised(present):
    np.testing.assert_allclose(repeat_factors(present, 0.0625), [1.25] * 4 + [1] * 96, rtol=1e-15)
    np.testing.assert_array_equal(repeat_factors(present, 0.04), np.ones(100))


def test_background_and_absent_classes_do_not_count():
    present = np.zeros((4, 19), bool)
    present[0, 0] = True  # a rare background is no reason
    present[1:3, SKIN] = True
    np.testing.assert_allclose(repeat_factors(present, 1.0), [1, np.sqrt(2), np.sqrt(2), 1])
    np.testing.assert_array_equal(repeat_factors(np.zeros((3, 19), bool), 1.0), np.ones(3))


def test_rounding_is_down_or_up_and_exact_in_sum_and_expectation():
    factors = np.random.default_rng(0).uniform(1, 4, 50)
    draws = np.stack([round_systematically(factors, seed) for seed in range(4000)])
    assert set(np.unique(draws - np.floor(factors))) == {0, 1}
    assert set(draws.sum(axis=1)) == {int(np.floor(factors.sum())), int(np.ceil(factors.sum()))}
    # 4 standard deviations of the mean of 4000 coins, the widest of which has 0.5
    np.testing.assert_allclose(draws.mean(axis=0), factors, atol=4 * 0.5 / np.sqrt(4000))


def test_rounding_leaves_whole_factors_alone():
    factors = np.where(np.arange(10_000) % 7 == 0, np.sqrt(3), 1.0)
    repeats = round_systematically(factors, seed=5)
    np.testing.assert_array_equal(repeats[factors == 1], 1)
    assert set(repeats[factors > 1]) == {1, 2}


def test_share_of_the_rare_class_rises_as_computed():
    """Hats go from 4 of 100 to 12 of 116; the first necklace lies on a hat face and comes three times."""
    view = RepeatFactorSource(Faces(), 0.36, seed=0)
    np.testing.assert_array_equal(view.repeats, [3] * 4 + [2] * 8 + [1] * 88)
    assert len(view) == len(view.names) == 116
    shown = presence(view)
    assert shown[:, HAT].sum() == 12
    assert shown[:, NECKLACE].sum() == 19
    assert view.names[:4] == ("face0", "face0", "face0", "face1")
    assert [view[k]["image"][0, 0, 0] for k in (0, 2, 3, 12, 13, 14, 115)] == [0, 0, 1, 4, 4, 5, 99]


def test_view_is_deterministic_and_depends_on_the_seed():
    views = [RepeatFactorSource(Faces(), 0.2, seed) for seed in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(views[0].repeats, views[1].repeats)
    assert any((view.repeats != views[0].repeats).any() for view in views[2:])
    copy = pickle.loads(pickle.dumps(views[0]))  # noqa: S301 - our own bytes
    assert copy.names == views[0].names


def test_view_passes_on_what_its_source_can():
    view = RepeatFactorSource(Faces(), 0.36, seed=0)
    np.testing.assert_array_equal(view.read_mask(115), Faces().read_mask(99))
    assert view.read_reduced(3, 2)["image"][0, 0, 0] == 1
    assert view.presence() is None


class StoredFaces(Faces):
    def presence(self):
        table = np.zeros((100, 19), bool)
        table[:4, HAT] = True
        return table


def test_stored_presence_spares_the_masks():
    source = StoredFaces()
    view = RepeatFactorSource(Subset(source, 0, 50), 0.32, seed=0)
    np.testing.assert_array_equal(view.repeats, [2] * 4 + [1] * 46)  # 0.08 of the 50
    assert source.masks_read == 0
    assert view.presence()[:, HAT].sum() == 8
