"""The most probable class of each pixel."""

import jax
import numpy as np
import pytest

from l2s_jax.types import Prediction


@pytest.mark.parametrize("classes", [1, 2, 19])
def test_labels_are_the_first_of_the_largest_logits(classes):
    logits = np.random.default_rng(0).integers(-2, 3, (2, 6, 5, classes)).astype(np.float32)  # many are equal
    logits[0, 0] = -np.inf
    found = jax.jit(lambda logits: Prediction(logits).labels)(logits)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, logits.argmax(-1))
