"""A film of one synthetic person: smooth, in a loop, and of that person alone."""

import numpy as np
import pytest

from input_pipeline.synthetic import track as tracks
from input_pipeline.synthetic.face import render
from input_pipeline.synthetic.factors import sample_factors
from input_pipeline.synthetic.track import SWINGING, track


@pytest.fixture(scope="module")
def factors():
    """What every frame was drawn of."""
    seen = []

    def draw(seed, index, size, *, factors):
        seen.append(factors)
        return {"image": np.zeros((size, size, 3), np.uint8)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks, "render", draw)
        track(7, 3, 32, 16)
    return seen


def test_only_what_swings_changes(factors):
    still = sample_factors(7, 3)
    assert len(factors) == 32
    assert all(each.identity == still.identity for each in factors)
    changed = {name for each in factors for name, value in each.named().items() if value != still.named()[name]}
    assert changed <= {*SWINGING, "mouth_open"}
    assert changed >= set(SWINGING)


@pytest.mark.parametrize("name", SWINGING)
def test_a_factor_goes_to_both_sides_in_small_steps_and_comes_back(factors, name):
    values = np.array([each.named()[name] for each in factors])
    assert values.max() > 1
    assert values.min() < -1
    assert np.abs(values - np.roll(values, 1)).max() < 2 * 1.2 * 2 * np.pi / 32 * 1.4  # the last goes on to the first


def test_frames_are_pictures_of_the_renderer():
    film = track(7, 3, 3, 16)
    assert [frame.shape for frame in film] == [(16, 16, 3)] * 3
    assert np.abs(film[0].astype(int) - film[1]).max() > 10
    np.testing.assert_array_equal(track(7, 3, 3, 16)[2], film[2])
    person = sample_factors(7, 3)
    assert np.abs(render(7, 3, 16, factors=person)["image"].astype(int) - film[0]).max() > 10
