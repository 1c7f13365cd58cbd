import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.distillation import divergence
from l2s_jax.types import GLOBAL_VIEW

PSUM = GLOBAL_VIEW.psum


def pixels(values):
    """[N, K] -> [1, 1, N, K]."""
    return jnp.asarray(values, jnp.float32)[None, None]


def test_known_answers():
    even = pixels([[0.0, 0.0]])
    assert divergence(even, pixels([[1.0, 0.0]]), jnp.ones(1), PSUM) == np.float32(np.log(2))
    quarter = np.log(2) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    np.testing.assert_allclose(divergence(even, pixels([[0.25, 0.75]]), jnp.ones(1), PSUM), quarter, rtol=1e-6)
    both = pixels([[0.0, 0.0], [np.log(0.2), np.log(0.8)]])
    target = pixels([[1.0, 0.0], [0.2, 0.8]])
    np.testing.assert_allclose(divergence(both, target, jnp.ones(1), PSUM), np.log(2) / 2, rtol=1e-6)


def test_padding_takes_no_part():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 2, 2, 4)).astype(np.float32)
    target = np.asarray(jax.nn.softmax(rng.normal(size=logits.shape)), np.float32)
    whole = divergence(logits[:2], target[:2], jnp.ones(2), PSUM)
    np.testing.assert_allclose(divergence(logits, target, jnp.array([1.0, 1, 0]), PSUM), whole, rtol=1e-6)


def test_the_gradient_is_that_of_soft_cross_entropy_and_always_finite():
    target = pixels([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    for scale in (1.0, 1e4):
        logits = scale * pixels([[-3.0, 1.0, 2.0], [0.5, -1.0, 0.0]])
        found = jax.grad(divergence)(logits, target, jnp.ones(1), PSUM)
        np.testing.assert_allclose(found, (jax.nn.softmax(logits) - target) / 2, atol=1e-6)
