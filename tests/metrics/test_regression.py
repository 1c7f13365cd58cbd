"""Ridge and lasso against brute force, closed forms and the conditions that only the minimum fulfils."""

import numpy as np
import pytest

from l2s_jax.metrics import regression


@pytest.fixture(scope="module")
def rows():
    """Features [60, 5] of different scales, and targets: linear in them, noisy, and unrelated."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) * [1, 10, 0.1, 2, 5] + [0, 100, -3, 1, 0]
    linear = x @ rng.normal(size=5)
    noisy = linear + 0.5 * linear.std() * rng.normal(size=60)
    return x, np.stack([linear, noisy, rng.normal(size=60)], axis=1)


def ridge_by_hand(x, y, test):
    """One target: every penalty is fitted once without each row, with a free intercept; then the best on all rows."""
    x, test = (np.column_stack((np.ones(len(z)), (z - x.mean(0)) / x.std(0))) for z in (x, test))
    scale = np.mean(np.linalg.svd(x[:, 1:], compute_uv=False) ** 2)

    def fit(keep, penalty):
        free = np.diag([0.0] + [penalty * scale] * (x.shape[1] - 1))
        return np.linalg.solve(x[keep].T @ x[keep] + free, x[keep].T @ y[keep])

    def left_out(penalty):
        return sum((y[i] - x[i] @ fit(np.arange(len(x)) != i, penalty)) ** 2 for i in range(len(x)))

    return test @ fit(slice(None), min(regression.RIDGE_PENALTIES, key=left_out))


def test_ridge_is_the_best_of_explicit_leave_one_out(rows):
    x, y = rows
    found = regression.ridge(x[:30], y[:30], x[30:])
    for f in range(3):
        np.testing.assert_allclose(found[:, f], ridge_by_hand(x[:30], y[:30, f], x[30:]), rtol=1e-9)


def test_ridge_knows_what_is_linear_and_no_more(rows):
    x, y = rows
    linear, noisy, unrelated = regression.r_squared(y[:30], y[30:], regression.ridge(x[:30], y[:30], x[30:]))
    assert linear > 0.999
    assert 0.5 < noisy < 0.9  # 1 / (1 + 0.25) of the variance can be known
    assert unrelated < 0.05


def test_ridge_with_more_features_than_rows_and_dead_ones(rows):
    x, y = rows
    wide = np.concatenate((x, np.full((60, 100), 7.0)), axis=1)
    np.testing.assert_allclose(*(regression.ridge(z[:30], y[:30], z[30:]) for z in (x, wide)), rtol=1e-9)
    constant = regression.ridge(np.ones((30, 4)), y[:30], np.ones((30, 4)))
    np.testing.assert_allclose(constant, np.tile(y[:30].mean(0), (30, 1)))


def test_lasso_fulfils_the_conditions_of_the_minimum(rows):
    """The gradient is -penalty * sign(w) where w is not 0, and within +-penalty elsewhere."""
    x, y = (regression.standardised(z)[0] for z in rows)
    penalty = np.array([0.01, 0.3, 0.1])
    weights = regression.lasso(x, y, penalty)
    gradient = x.T @ (x @ weights - y) / len(x)
    held = weights != 0
    assert 0 < held.sum() < held.size
    np.testing.assert_allclose(gradient[held], (-penalty * np.sign(weights))[held], atol=1e-8)
    assert np.all(np.abs(gradient) <= penalty + 2 * regression.TOLERANCE)
    np.testing.assert_allclose(regression.lasso(x, y, penalty, start=weights + 1), weights, atol=1e-5)


def test_lasso_of_orthogonal_features_is_soft_thresholding():
    x = np.linalg.qr(np.random.default_rng(1).normal(size=(50, 4)))[0] * np.sqrt(50)
    y = x @ np.array([[1.0, -2.0], [0.5, 0.0], [-0.2, 0.1], [0.0, 3.0]])
    found = regression.lasso(x, y, np.array([0.3, 0.15]))
    np.testing.assert_allclose(found, [[0.7, -1.85], [0.2, 0], [0, 0], [0, 2.85]], atol=1e-9)


def test_lasso_without_penalty_is_least_squares(rows):
    x, y = (regression.standardised(z)[0] for z in rows)
    np.testing.assert_allclose(regression.lasso(x, y, np.zeros(3)), np.linalg.lstsq(x, y)[0], atol=1e-5)


def test_lasso_of_more_features_than_rows_that_determine_one_another(rows):
    """Twice the same features, 10 in 8 rows: the minimum is not unique, the conditions and the value are."""
    x, y = (regression.standardised(z[:8])[0] for z in rows)
    penalty = np.full(3, 0.05)
    once, twice = (regression.lasso(z, y, penalty) for z in (x, np.concatenate((x, x), axis=1)))
    np.testing.assert_allclose(twice[:5] + twice[5:], once, atol=1e-5)
    gradient = x.T @ (x @ once - y) / len(x)
    assert np.all(np.abs(gradient) <= penalty + 2 * regression.TOLERANCE)


def test_lasso_leaves_dead_features_alone(rows):
    x, y = (regression.standardised(z)[0] for z in rows)
    found = regression.lasso(np.concatenate((x, np.zeros((60, 2))), axis=1), y, np.full(3, 0.1))
    np.testing.assert_array_equal(found[5:], 0)
    np.testing.assert_allclose(found[:5], regression.lasso(x, y, np.full(3, 0.1)), atol=1e-9)


def test_penalties_are_chosen_on_rows_held_back(rows):
    """The less noise, the smaller; a target that no feature predicts keeps the penalty at which all weights are 0."""
    x, y = (regression.standardised(z)[0] for z in rows)
    y[:, 2] = np.where(np.arange(60) < 45, y[:, 2], -(x @ (x[:45].T @ y[:45, 2])))  # what was true is now false
    penalties, weights = regression.lasso_penalties(x, y)
    largest = np.abs(x[:45].T @ y[:45]).max(0) / 45
    assert penalties[0] < penalties[1] < penalties[2]
    np.testing.assert_allclose(penalties[[0, 2]], [0.01 * largest[0], largest[2]])
    np.testing.assert_array_equal(weights[:, 2], 0)
    np.testing.assert_allclose(weights, regression.lasso(x[:45], y[:45], penalties), atol=1e-5)


def test_standardised_by_the_first_without_magnifying_dead_columns():
    train = np.array([[0.0, 5.0, 1e-9], [2.0, 5.0, 0.0], [4.0, 5.0, 0.0]])
    found, other = regression.standardised(train, np.array([[6.0, 6.0, 0.0]]))
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(found[:, 0], np.array([-2, 0, 2]) / deviation)
    np.testing.assert_array_equal(found[:, 1], 0)
    assert np.abs(found[:, 2]).max() < 1e-6
    assert other[0, 0] == pytest.approx(4 / deviation)
    np.testing.assert_array_equal(regression.standardised(np.ones((3, 2)))[0], 0)


def test_r_squared_by_hand():
    seen, unseen = np.array([[1.0, 0], [3, 0]]), np.array([[1.0, 4], [5, 4]])
    predicted = np.array([[[2.0, 0], [5, 0]], [[2, 4], [2, 4]]])
    # The mean of the seen rows is 2: squares (1 + 9) of the first factor; the second does not vary.
    np.testing.assert_allclose(regression.r_squared(seen, unseen, predicted), [[1 - 1 / 10, 0], [0, 0]])
