"""Swap scores of changes and borders counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.metrics import swap

NAMES = ("left", "right")


def measured(change_inside, change_outside, weight=(1.0,)):
    """A 4x4 face whose left half is the region; the photo's own border has a contrast of 0.25."""
    region = jnp.zeros((1, 4, 4)).at[:, :, :2].set(1.0)
    photo = jnp.repeat(0.25 * region[..., None], 3, axis=-1)
    before = jnp.zeros((1, 4, 4, 3))
    after = before + jnp.where(region[..., None] > 0, change_inside, change_outside)
    return swap.sums(0, 2, photo, region, region, before, after, region, jnp.asarray(weight))


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
    own = jnp.zeros((1, 2, 4)).at[:, :, 0].set(1.0)
    other = jnp.zeros((1, 2, 4)).at[:, :, 1].set(1.0)
    before, after = jnp.zeros((1, 2, 4, 3)), jnp.zeros((1, 2, 4, 3)).at[:, :, 1].set(0.3)
    sums = jax.jit(swap.sums, static_argnums=1)(1, 2, before, own, other, before, after, other, jnp.ones(1))
    np.testing.assert_allclose(sums.area_inside, [0, 4])
    np.testing.assert_allclose(sums.inside, [0, 0.6], rtol=1e-6)
    np.testing.assert_allclose(sums.outside, [0, 0])
    np.testing.assert_allclose(sums.seams, [0, 4])  # both sides of a column of two pixels
