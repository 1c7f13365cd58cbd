"""Verification scores: known answers, and brute force over every threshold where similarities tie."""

import itertools

import numpy as np
import pytest

from l2s_jax.metrics.verification import (
    area_under_curve,
    equal_error_rate,
    pair_similarities,
    true_accept_rate,
    verification,
)


def by_counting(same, different):
    """(AUC, [(FAR, TAR)]) pair by pair, over all thresholds."""
    wins = [(s > d) + 0.5 * (s == d) for s in same for d in different]
    curve = [(0.0, 0.0)]
    for threshold in sorted({*same, *different}, reverse=True):
        curve.append((np.mean(np.array(different) >= threshold), np.mean(np.array(same) >= threshold)))
    return np.mean(wins), curve


@pytest.mark.parametrize("values", [3, 12, 10**6], ids=["many ties", "some ties", "none"])
def test_brute_force(values):
    rng = np.random.default_rng(values)
    same, different = rng.integers(0, values, 40) + values // 4, rng.integers(0, values, 70)
    auc, curve = by_counting(same, different)
    assert area_under_curve(same, different) == pytest.approx(auc, abs=1e-12)
    for rate in (0.0, 0.01, 0.1, 0.5, 1.0):
        expected = max(tar for far, tar in curve if far <= rate)
        assert true_accept_rate(same, different, rate) == pytest.approx(expected, abs=1e-12)
    found = equal_error_rate(same, different)
    crossings = []
    for (far, tar), (next_far, next_tar) in itertools.pairwise(curve):
        start, end = far - (1 - tar), next_far - (1 - next_tar)
        if start < 0 <= end:
            crossings.append(far - start / (end - start) * (next_far - far))
    assert [found] == pytest.approx(crossings, abs=1e-12)


def test_known_answers():
    apart = [0.9, 0.8], [0.1, 0.2, 0.3]
    assert (area_under_curve(*apart), equal_error_rate(*apart), true_accept_rate(*apart, 0.0)) == (1, 0, 1)
    wrong = apart[::-1]
    assert (area_under_curve(*wrong), equal_error_rate(*wrong), true_accept_rate(*wrong, 0.4)) == (0, 1, 0)
    alike = [0.5] * 3, [0.5] * 4
    assert (area_under_curve(*alike), equal_error_rate(*alike), true_accept_rate(*alike, 0.99)) == (0.5, 0.5, 0)
    different = np.arange(100) / 100  # exactly one of a hundred may be accepted at 0.01
    assert true_accept_rate([0.995, 0.985, 0.97], different, 0.01) == pytest.approx(2 / 3)
    assert true_accept_rate([0.995, 0.985, 0.97], different, 0.0099) == pytest.approx(1 / 3)


def test_pairs_are_counted_once():
    embedding = np.array([[2.0, 0], [0, 1], [3, 4], [0, 0]])
    same, different = pair_similarities(embedding, [7, 7, 8, 8])
    np.testing.assert_allclose(sorted(same), [0, 0])  # (0, 1) and (2, 3), which has no direction
    np.testing.assert_allclose(sorted(different), [0, 0, 0.6, 0.8])


def test_all_scores_of_some_faces():
    angle = np.deg2rad([0, 10, 90, 100])
    scores = verification(np.stack([np.cos(angle), np.sin(angle)], axis=1), [0, 0, 1, 1])
    assert scores["cosine_same"] == pytest.approx(np.cos(np.deg2rad(10)))
    assert scores["cosine_different"] == pytest.approx(np.cos(np.deg2rad([90, 100, 80, 90])).mean())
    assert (scores["auc"], scores["eer"], scores["tar_at_far_1e-2"], scores["tar_at_far_1e-3"]) == (1, 0, 1, 1)


@pytest.mark.parametrize("identity", [[0, 1, 2], [4, 4, 4]])
def test_without_both_kinds_of_pairs_nothing_is_known(identity):
    assert set(verification(np.eye(3), identity).values()) == {None}
