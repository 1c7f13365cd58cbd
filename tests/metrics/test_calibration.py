"""Calibration: known answers."""

import numpy as np
import pytest

from l2s_jax.metrics.calibration import BINS, reliability_sums, summary


def scored(confidences, right):
    """Two classes; class 0 is always chosen, and is the truth where `right`."""
    confidence = np.asarray(confidences, np.float32)
    probabilities = np.stack([confidence, 1 - confidence], axis=-1)
    truth = np.where(right, 0, 1)
    return reliability_sums(probabilities, truth, np.ones(truth.shape, bool))


def test_a_confidence_of_nine_tenths_that_is_right_nine_times_of_ten_has_no_error():
    found = summary(scored([0.9] * 10, [True] * 9 + [False]))
    assert found["ece"] == pytest.approx(0, abs=1e-6)
    (row,) = found["intervals"]
    assert (row["confidence"], row["accuracy"], row["share"]) == pytest.approx((0.9, 0.9, 1))


def test_the_error_is_weighted_by_pixels_and_batches_add_up():
    # 4 pixels: .95 and all right, off by .05; 1 pixel: .6 and wrong, off by .6.
    sums = scored([0.95] * 4, [True] * 4) + scored([0.6], [False])
    assert summary(sums)["ece"] == pytest.approx((4 * 0.05 + 0.6) / 5, abs=1e-6)
    assert sums.shape == (BINS, 3)


def test_certainty_has_a_place_and_ignored_pixels_have_none():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    sums = reliability_sums(probabilities, np.array([0, 255]), np.array([True, False]))
    assert sums.sum(axis=0).tolist() == [1, 1, 1]
    assert sums[-1].tolist() == [1, 1, 1]
    assert summary(np.zeros((BINS, 3))) == {"ece": None, "intervals": []}
