"""Swap scores of changes and borders counted by hand."""

import jax
import numpy as np
import pytest

from l2s_jax.metrics import swap

NAMES = ("left", "right")
sums_of = jax.jit(swap.sums, static_argnums=1)


def measured(change_inside, change_outside, weight=(1.0,)):
    """A 4x4 face whose left half is the region; the photo's own border has a contrast of 0.25."""
    region = np.zeros((1, 4, 4), np.float32)
    region[:, :, :2] = 1
    photo = np.repeat(0.25 * region[..., None], 3, axis=-1)
    before = np.zeros((1, 4, 4, 3), np.float32)
    after = before + np.float32(np.where(region[..., None] > 0, change_inside, change_outside))
    return sums_of(0, 2, photo, region, region, before, after, region, np.float32(weight))


def test_change_outside_over_inside_and_contrast_of_the_border():
    found = swap.summary(measured(0.5, 0.05), NAMES)
    assert found["outside_over_inside"] == pytest.approx(0.1)
    assert found["slices"]["left"]["seam"] == pytest.approx(0.45 / 0.25)
    assert found["slices"]["right"] == {"outside_over_inside": None, "seam": None}


def test_a_perfect_swap_changes_nothing_outside_and_padding_does_not_count():
    assert swap.summary(measured(0.5, 0.0), NAMES)["outside_over_inside"] == 0.0
    none = swap.summary(measured(0.5, 0.1, weight=(0.0,)), NAMES)
    assert none["outside_over_inside"] is None
    assert none["seam"] is None


def test_where_the_other_face_shows_the_region_is_inside():
    own, other = (np.float32(np.arange(4) == column)[None, None].repeat(2, axis=1) for column in (0, 1))
    before, after = np.zeros((1, 2, 4, 3), np.float32), 0.3 * other[..., None].repeat(3, axis=-1)
    sums = sums_of(1, 2, before, own, other, before, after, other, np.ones(1, np.float32))
    np.testing.assert_allclose(sums.area_inside, [0, 4])
    np.testing.assert_allclose(sums.inside, [0, 0.6], rtol=1e-6)
    np.testing.assert_allclose(sums.outside, [0, 0])
    np.testing.assert_allclose(sums.seams, [0, 4])  # both sides of a column of two pixels
