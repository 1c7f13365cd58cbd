"""The leakage probe against brute force and on codes whose leakage is known."""

import numpy as np
import pytest

from l2s_jax.metrics import leakage

NAMES = ("a", "b", "c")


def test_pooling_averages_cells_of_equal_size():
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(leakage.pool(maps, 2), [[2.5, 4.5, 10.5, 12.5]])
    np.testing.assert_allclose(leakage.pool(maps, 8), maps.reshape(1, -1))  # smaller than the grid
    np.testing.assert_allclose(leakage.pool(np.ones((2, 12, 10, 3), np.float32)), np.ones((2, 8 * 8 * 3)), rtol=1e-6)


def left_out(x, y, penalty):
    """Residuals of ridge regressions that never saw their example."""
    errors = []
    for i in range(len(x)):
        kept = np.delete(np.arange(len(x)), i)
        a, b = np.c_[x[kept], np.ones(len(kept))], y[kept]
        damping = penalty * np.diag([1.0] * x.shape[1] + [0.0])  # the intercept is not damped
        errors.append(y[i] - np.r_[x[i], 1.0] @ np.linalg.solve(a.T @ a + damping, a.T @ b))
    return np.array(errors)


def test_score_is_that_of_leaving_one_out(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 4))
    y = x @ rng.normal(size=(4, 3)) + rng.normal(size=(24, 3))
    x = (x - x.mean(0)) / x.std(0)
    penalty = 0.3
    monkeypatch.setattr(leakage, "PENALTIES", np.array([penalty / np.linalg.eigvalsh(x @ x.T).clip(0).mean()]))
    baseline = sum(np.sum((y[i] - np.delete(y, i, axis=0).mean(0)) ** 2) for i in range(24))
    expected = 1 - np.sum(left_out(x, y, penalty) ** 2) / baseline
    assert leakage.explained(x, y) == pytest.approx(expected, rel=1e-6)


def test_nothing_is_learnt_from_noise_or_constants():
    rng = np.random.default_rng(1)
    layouts = rng.normal(size=(100, 20))
    assert abs(leakage.explained(rng.normal(size=(100, 300)), layouts)) < 0.05
    assert leakage.explained(np.ones((100, 3)), layouts) == pytest.approx(0.0, abs=1e-6)
    assert leakage.explained(layouts, np.ones((100, 3))) == 0.0


def test_slices_that_hold_their_own_part_alone_leak_nothing_and_full_ones_all():
    rng = np.random.default_rng(2)
    layouts = rng.normal(size=(200, 3, 5))
    pure = leakage.probe(layouts @ rng.normal(size=(5, 8)), layouts, NAMES)
    assert pure["leakage"] < 0.05
    assert pure["slices"]["a"]["whole"] > 0.95
    everything = np.einsum("nd,kde->nke", layouts.reshape(200, 15), rng.normal(size=(3, 15, 20)))
    full = leakage.probe(everything, layouts, NAMES)
    assert full["leakage"] > 0.95
    assert full["own_truth"] < 0.05  # the regions of this toy are independent
    assert leakage.probe(layouts[:4], layouts[:4], NAMES)["leakage"] is None
