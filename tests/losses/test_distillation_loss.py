import jax
import numpy as np

from l2s_jax.losses.distillation import divergence
from l2s_jax.types import GLOBAL_VIEW


@jax.jit
def loss(logits, target, weight):
    return divergence(logits, target, weight, GLOBAL_VIEW.psum)


def pixels(values):
    """[N, K] -> [1, 1, N, K]."""
    return np.float32(values)[None, None]


def test_known_answers():
    even = pixels([[0.0, 0.0]])
    assert loss(even, pixels([[1.0, 0.0]]), np.ones(1)) == np.float32(np.log(2))
    quarter = np.log(2) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    np.testing.assert_allclose(loss(even, pixels([[0.25, 0.75]]), np.ones(1)), quarter, rtol=1e-6)
    both = pixels([[0.0, 0.0], [np.log(0.2), np.log(0.8)]])
    target = pixels([[1.0, 0.0], [0.2, 0.8]])
    np.testing.assert_allclose(loss(both, target, np.ones(1)), np.log(2) / 2, rtol=1e-6)


def test_padding_takes_no_part():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 2, 2, 4)).astype(np.float32)
    target = np.asarray(jax.nn.softmax(rng.normal(size=logits.shape)), np.float32)
    whole = loss(logits[:2], target[:2], np.ones(2))
    np.testing.assert_allclose(loss(logits, target, np.float32([1, 1, 0])), whole, rtol=1e-6)


def test_the_gradient_is_that_of_soft_cross_entropy_and_always_finite():
    target = pixels([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    for scale in (1.0, 1e4):
        logits = scale * pixels([[-3.0, 1.0, 2.0], [0.5, -1.0, 0.0]])
        found = jax.jit(jax.grad(loss))(logits, target, np.ones(1))
        np.testing.assert_allclose(found, (jax.nn.softmax(logits) - target) / 2, atol=1e-6)
