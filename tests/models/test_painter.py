import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.models.painter import painter_map, support

LEVEL = 2 / 255


@pytest.mark.parametrize(
    ("value", "seen"),
    [(-1.0, False), (-7.0, False), (-1 + 0.99 * LEVEL, False), (-1 + 1.01 * LEVEL, True), (0.0, True), (3.0, True)],
)
def test_support_starts_at_one_of_255_levels(value, seen):
    assert bool(support(jnp.full((1, 1, 3), value))[0, 0]) is seen


@pytest.mark.parametrize(("level", "tolerance", "seen"), [(1, 0, True), (1, 1, False), (8, 7, True), (8, 8, False)])
def test_levels_within_the_tolerance_are_black(level, tolerance, seen):
    value = -1 + (level + 0.5) * LEVEL
    regions = jnp.full((1, 1, 2, 2, 3), value)
    assert bool(support(regions, tolerance).all()) is seen
    assert bool((painter_map(regions, (1,), tolerance) == int(seen)).all())


def test_one_channel_is_enough():
    """Three channels just under the first level are black each, whatever their mean."""
    black = -1 + 0.9 * LEVEL
    pixels = jnp.asarray([[black, black, black], [black, black, -1 + 1.1 * LEVEL]])
    np.testing.assert_array_equal(support(pixels), [False, True])


def test_later_regions_paint_over_earlier_ones():
    lit = np.full((1, 3, 1, 4, 3), -1.0, np.float32)
    lit[0, 0, 0, :3] = 0.5  # first region: pixels 0, 1, 2
    lit[0, 1, 0, 1:2] = 0.5  # second: pixel 1
    lit[0, 2, 0, 2:3, 1] = 0.5  # third: pixel 2, green only
    classes = painter_map(jnp.asarray(lit), order=(4, 2, 9))
    assert classes.dtype == jnp.int32
    np.testing.assert_array_equal(classes, [[[4, 2, 9, 0]]])


def test_every_region_needs_a_class():
    with pytest.raises(ValueError, match="2 classes for 3"):
        painter_map(jnp.zeros((1, 3, 2, 2, 3)), order=(1, 2))
