"""Scores of identity transfer on numbers worked by hand."""

import numpy as np

from l2s_jax.metrics.transfer import correlations, transfer_score


def test_correlations_are_of_columns():
    x = np.random.default_rng(0).normal(size=(200, 4))
    y = np.stack((3 * x[:, 0] + 1, -x[:, 1], x[:, 2] + x[:, 3], np.ones(200)), axis=1)
    expected = [1, -1, np.corrcoef(x[:, 2], y[:, 2])[0, 1], 0]
    np.testing.assert_allclose(correlations(x, y), expected, atol=1e-9)


def test_no_shortcut_wins():
    """Identity image, attribute image and a mean face get at most about 0; a true transfer gets more."""
    assert transfer_score(1.0, 0.02, 4.0, 4.0) < 0.01
    assert transfer_score(0.02, 1.0, 0.0, 4.0) < 0
    assert transfer_score(0.02, 0.02, 3.0, 4.0) < 0
    np.testing.assert_allclose(transfer_score(0.9, 0.05, 1.0, 4.0), 0.6)
