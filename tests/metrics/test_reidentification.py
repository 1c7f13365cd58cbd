"""Re-identification and temporal coherence against answers worked out by hand."""

import numpy as np
import pytest

from l2s_jax.metrics.reidentification import rank_one, reidentification
from l2s_jax.metrics.temporal_coherence import temporal_coherence
from l2s_jax.metrics.verification import cosines


def test_cosines_ignore_lengths():
    np.testing.assert_allclose(cosines(np.array([[3, 4], [0, 0]]), np.array([[1, 0], [0, 9]])), [[0.6, 0.8], [0, 0]])


def test_rank_one_asks_who_is_on_top_and_draws_among_equals():
    same = np.eye(3, dtype=bool)
    assert rank_one(np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]]), same) == pytest.approx(2 / 3)
    assert rank_one(np.array([[0.5, 0.5, 0.1], [0.0, 0.0, 0.0], [0.1, 0.2, 0.3]]), same) == pytest.approx(
        (1 / 2 + 1 / 3 + 1) / 3
    )


def test_one_person_has_no_area():
    pictures = np.full((2, 1, 1, 3), 9, np.uint8)
    found = reidentification(lambda each: each[:, 0, 0, :], {"before": pictures}, np.zeros(2), pictures, np.zeros(2))
    assert found["before"] == {"rank1": 1, "auc": None}


def test_any_encoder_is_asked_about_every_treatment():
    def encode(pictures):  # the first two pixels
        return pictures[:, 0, :2, 0].astype(float)

    gallery = np.zeros((4, 1, 2, 3), np.uint8)
    gallery[:, 0, :, 0] = [[200, 0], [0, 200], [200, 200], [190, 10]]  # the last shows the first person again
    people = np.array([0, 1, 2])
    blank = np.full((3, 1, 2, 3), 100, np.uint8)
    found = reidentification(encode, {"before": gallery[:3], "after": blank}, people, gallery, np.array([0, 1, 2, 0]))
    assert found["before"] == {"rank1": 1.0, "auc": 1.0}
    # All look like the third person, whose pair alone is on top; the others' tie in part.
    assert found["after"]["rank1"] == pytest.approx(1 / 3)
    alike = cosines(np.array([[1, 1]]), np.array([[1, 0], [0, 1], [1, 1], [19, 1]]))[0]
    right, wrong = [alike[0], alike[3], alike[1], alike[2]], [*alike[[1, 2]], *alike[[0, 2, 3]], *alike[[0, 1, 3]]]
    wins = [(r > w) + 0.5 * (r == w) for r in right for w in wrong]
    assert found["after"]["auc"] == pytest.approx(np.mean(wins))
    assert found["chance"] == {"rank1": pytest.approx(4 / 12), "auc": 0.5}


def test_a_still_person_is_coherent_and_a_turning_one_is_not():
    still = np.tile([0.6, 0.8], (5, 1))
    assert temporal_coherence(still) == {"consecutive": pytest.approx(1), "variance": pytest.approx(0, abs=1e-12)}
    angles = np.deg2rad([0, 60, 120])
    turning = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    mean = turning.mean(0)
    found = temporal_coherence(turning)
    assert found["consecutive"] == pytest.approx(0.5)
    assert found["variance"] == pytest.approx(1 - mean @ mean)
