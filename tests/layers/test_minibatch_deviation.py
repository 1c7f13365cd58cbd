"""The deviation within groups of consecutive rows: its value, its independence of other groups and of padding."""

import jax
import numpy as np
import pytest

from l2s_jax.layers.minibatch_deviation import with_deviation
from tests.helpers.draws import normal

deviated = jax.jit(with_deviation, static_argnums=1)


def maps(rows):
    return normal(0, rows, 3, 5, 2)


def test_appends_the_mean_deviation_of_each_group():
    x = maps(6)
    y = deviated(x, 3)
    np.testing.assert_array_equal(y[..., :2], x)
    for first in (0, 3):
        group = np.asarray(x[first : first + 3], np.float64)
        expected = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[first : first + 3, :, :, 2], expected, rtol=1e-6)


def test_rows_of_weight_zero_do_not_count():
    x, weight = maps(4), np.float32([1, 0, 1, 1])
    y = deviated(x, 4, weight)
    expected = np.sqrt(np.asarray(x, np.float64)[[0, 2, 3]].var(axis=0) + 1e-8).mean()
    np.testing.assert_allclose(y[..., 2], expected, rtol=1e-6)
    slope = jax.jit(jax.grad(lambda x, weight: with_deviation(x, 4, weight)[..., 2].sum()))
    np.testing.assert_array_equal(slope(x, weight)[1], 0.0)
    np.testing.assert_array_equal(slope(x, 0 * weight), 0.0)


def test_a_single_row_has_no_deviation_and_a_finite_slope():
    np.testing.assert_allclose(deviated(maps(2), 1)[..., 2], 1e-4)
    slope = jax.jit(jax.grad(lambda x: with_deviation(x, 1).sum()))(maps(2))
    assert np.all(np.isfinite(slope))


def test_rows_must_divide_into_groups():
    with pytest.raises(ValueError, match="6 rows do not divide into groups of 4"):
        with_deviation(maps(6), 4)
