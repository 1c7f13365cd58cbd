"""Scores of found faces: which detection finds which face, precision over recall, by hand."""

import numpy as np
import pytest

from l2s_jax.metrics.detection import matched, precision_and_recall

TRUE = {
    "middle": np.array([[50.0, 50.0], [100.0, 50.0], [20.0, 90.0]]),
    "side": np.array([40.0, 20.0, 20.0]),
    "whole": np.array([True, True, False]),
    "hidden": np.array([False, False, True]),
}


def found(*rows):
    score, x, y, side = np.array(rows, float).reshape(-1, 4).T
    return {"score": score, "middle": np.stack([x, y], -1), "side": side}


@pytest.mark.parametrize(
    ("rows", "owner", "counts"),
    [
        ([(0.9, 59, 50, 40), (0.8, 50, 41, 50)], [0, -1], [True, True]),  # the surest finds it, the other is false
        ([(0.5, 61, 50, 40), (0.5, 50, 50, 61), (0.5, 50, 50, 26)], [-1] * 3, [True] * 3),  # away, too large, too small
        ([(0.4, 100, 52, 20), (0.6, 20, 90, 20), (0.7, 20, 90, 99)], [1, -1, -1], [True, False, False]),
        ([], [], []),
    ],
)
def test_a_detection_finds_the_nearest_face_of_its_size_once(rows, owner, counts):
    first, second = matched(found(*rows), TRUE)
    np.testing.assert_array_equal(first, owner)
    np.testing.assert_array_equal(second, counts)


def test_precision_over_recall():
    """Of four faces the first and the third detection find one each."""
    scores = precision_and_recall(np.array([0.5, 0.9, 0.7, 0.2]), np.array([True, True, False, False]), 4)
    assert scores["average_precision"] == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert (scores["threshold"], scores["recall"]) == (0.5, 0.5)
    assert (scores["precision"], scores["f1"]) == (pytest.approx(2 / 3), pytest.approx(4 / 7))
    assert set(precision_and_recall(np.ones(1), np.zeros(1, bool), 4).values()) == {0.0}
    assert set(precision_and_recall(np.ones(0), np.zeros(0, bool), 0).values()) == {0.0}
