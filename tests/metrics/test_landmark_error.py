import numpy as np
import pytest

from input_pipeline.landmarks import mirror_order
from l2s_jax.metrics.landmark_error import OUTER_EYES, landmark_scores, normalised_errors


def test_known_answers():
    true = np.zeros((3, 68, 2))
    true[:, 36], true[:, 45] = (10, 20), (40, 60)  # 50 px apart
    found = true.copy()
    found[0] += (3, 4)  # every point is off by 5
    found[1, 0] += (0, 68)  # one point by 68, 1 on average
    np.testing.assert_allclose(normalised_errors(found, true), [0.1, 0.02, 0])
    assert landmark_scores(found, true) == pytest.approx({"nme": 0.04, "pixels": 2, "failures": 0})
    assert landmark_scores(found + np.array([6, 0]), true)["failures"] == 1
    np.testing.assert_allclose(normalised_errors(3 * found, 3 * true), [0.1, 0.02, 0])


@pytest.mark.parametrize("count", OUTER_EYES)
def test_the_corners_are_partners_in_the_mirror(count):
    first, second = OUTER_EYES[count]
    assert mirror_order(count)[first] == second
