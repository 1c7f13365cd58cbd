import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from l2s_jax.losses.independence import MEASURES, cross_covariance, hsic, standardised

jitted = {name: jax.jit(measure) for name, measure in MEASURES.items()}
every = pytest.mark.parametrize("measure", jitted.values(), ids=jitted)


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_cross_covariance_by_hand():
    codes, weight = 3 * gaussian(12, 3, 2) + 5, np.array([1.0] * 10 + [0, 0], np.float32)
    correlation = np.corrcoef(codes[:10].reshape(10, 6).astype(np.float64), rowvar=False)
    blocks = (correlation**2).reshape(3, 2, 3, 2).mean((1, 3))
    expected = blocks[0, 1] + blocks[0, 2] + blocks[1, 2]
    np.testing.assert_allclose(jitted["covariance"](codes, weight), expected, rtol=1e-5)


def test_hsic_by_hand():
    """tr(K H L H) of Gretton et al., in float64."""
    codes = gaussian(9, 3, 2).astype(np.float64)
    codes = (codes - codes.mean(0)) / codes.std(0)
    squares = np.sum((codes[:, None] - codes[None]) ** 2, axis=-1)
    kernels = np.moveaxis(np.exp(-squares / squares.mean((0, 1))), -1, 0)
    centre = np.eye(9) - 1 / 9

    def trace(i, j):
        return np.trace(kernels[i] @ centre @ kernels[j] @ centre)

    expected = sum(trace(i, j) / np.sqrt(trace(i, i) * trace(j, j)) for i, j in ((0, 1), (0, 2), (1, 2)))
    np.testing.assert_allclose(jitted["hsic"](codes, np.ones(9)), expected, rtol=1e-4)


@every
def test_equal_subspaces_score_one_per_pair_and_independent_ones_little(measure):
    one = gaussian(1024, 1, 1)
    np.testing.assert_allclose(measure(np.repeat(one, 3, axis=1), jnp.ones(1024)), 3.0, rtol=1e-4)
    assert measure(gaussian(1024, 3, 1), jnp.ones(1024)) < 0.05


def test_independent_subspaces_score_the_noise_floor_of_covariance():
    independent = jitted["covariance"](gaussian(4096, 3, 8), jnp.ones(4096))
    assert 0.5 < independent / (3 / 4095) < 1.5


def test_a_square_is_seen_by_hsic_alone():
    x = gaussian(1024, 1, 1)
    codes, weight = np.concatenate((x, x**2), axis=1), jnp.ones(1024)
    assert jitted["covariance"](codes, weight) < 0.02
    assert jitted["hsic"](codes, weight) > 0.2


@every
def test_padding_is_dropping_and_scale_does_not_matter(measure):
    codes, weight = gaussian(24, 3, 2), np.repeat([1, 0, 1], 8).astype(np.float32)
    value = measure(codes[weight > 0], jnp.ones(16))
    np.testing.assert_allclose(measure(codes, weight), value, rtol=1e-4)
    np.testing.assert_allclose(measure(100 * codes - 3000, weight), value, rtol=1e-3)


def test_covariance_does_not_depend_on_dims():
    one = gaussian(64, 2, 1)
    value = jitted["covariance"](one, jnp.ones(64))
    np.testing.assert_allclose(jitted["covariance"](np.repeat(one, 5, axis=2), jnp.ones(64)), value, rtol=1e-5)


@every
def test_constant_subspaces_score_zero_with_finite_gradient(measure):
    codes = np.concatenate([gaussian(16, 1, 2), np.ones((16, 1, 2), np.float32)], axis=1)
    value, gradient = jax.jit(jax.value_and_grad(measure))(codes, jnp.ones(16))
    assert abs(value) < 1e-6
    assert np.all(np.isfinite(gradient))
    assert measure(codes, jnp.zeros(16)) == 0  # an empty batch


def test_gradient_of_covariance_is_exact_although_the_centre_has_none():
    codes = gaussian(10, 2, 2) + 1
    check_grads(lambda x: cross_covariance(x, jnp.ones(10)), (codes,), order=1, modes=["rev"], eps=1e-2, rtol=1e-2)


def test_hsic_falls_along_its_gradient():
    codes = gaussian(32, 2, 2) + gaussian(32, 1, 2, seed=1)
    value, gradient = jax.jit(jax.value_and_grad(hsic))(codes, jnp.ones(32))
    assert jitted["hsic"](codes - 0.1 * gradient / np.abs(gradient).max(), jnp.ones(32)) < value


def test_standardised_rows_that_count():
    codes, weight = 7 + 3 * gaussian(6, 2, 2), np.array([1, 1, 1, 1, 0, 0], np.float32)
    found = np.asarray(standardised(jnp.asarray(codes), weight))[:4]
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(0), 1, rtol=1e-5)
