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
    """The unbiased estimator of Song et al., in float64."""
    codes = gaussian(9, 3, 2).astype(np.float64)
    codes = (codes - codes.mean(0)) / codes.std(0)
    squares = np.sum((codes[:, None] - codes[None]) ** 2, axis=-1)
    kernels = np.moveaxis(np.exp(-squares / (squares.sum((0, 1)) / (9 * 8))), -1, 0) * (1 - np.eye(9))

    def unbiased(k, other, n=9):
        products = np.trace(k @ other) + k.sum() * other.sum() / ((n - 1) * (n - 2))
        return (products - 2 / (n - 2) * (k @ other).sum()) / (n * (n - 3))

    own = [unbiased(k, k) for k in kernels]
    pairs = [unbiased(kernels[i], kernels[j]) / np.sqrt(own[i] * own[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(pairs) < 0 < max(pairs)  # noise, which counts 0
    np.testing.assert_allclose(jitted["hsic"](codes, np.ones(9)), np.maximum(pairs, 0).sum(), rtol=1e-4)


def test_independent_codes_of_many_dimensions_score_no_more_than_those_of_few():
    """The biased estimator gives .02 for 2 dimensions and .41 for 80."""
    for dims in (2, 80):
        assert jitted["hsic"](gaussian(200, 2, dims), jnp.ones(200)) < 0.02


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
    codes = gaussian(24, 3, 2) + gaussian(24, 1, 2, seed=1)  # dependent: no pair counts 0
    weight = np.repeat([1, 0, 1], 8).astype(np.float32)
    value = measure(codes[weight > 0], jnp.ones(16))
    np.testing.assert_allclose(measure(codes, weight), value, rtol=1e-4)
    np.testing.assert_allclose(measure(100 * codes - 3000, weight), value, rtol=1e-3)


def test_covariance_depends_neither_on_dims_nor_on_those_that_do_not_vary():
    one = gaussian(64, 2, 1)
    value = jitted["covariance"](one, jnp.ones(64))
    wide = np.repeat(one, 5, axis=2)
    np.testing.assert_allclose(jitted["covariance"](wide, jnp.ones(64)), value, rtol=1e-5)
    wide[:, 0, 2:] = 3
    np.testing.assert_allclose(jitted["covariance"](wide, jnp.ones(64)), value, rtol=1e-5)


@every
def test_constant_subspaces_score_zero_with_finite_gradient(measure):
    codes = np.concatenate([gaussian(16, 1, 2), np.ones((16, 1, 2), np.float32)], axis=1)
    value, gradient = jax.jit(jax.value_and_grad(measure))(codes, jnp.ones(16))
    assert abs(value) < 1e-6
    assert np.all(np.isfinite(gradient))
    assert measure(codes, jnp.zeros(16)) == 0  # an empty batch


def test_gradient_of_covariance_is_exact_although_the_centre_has_none():
    codes = gaussian(10, 2, 2) + 1
    loss = jax.jit(lambda x: cross_covariance(x, jnp.ones(10)))
    check_grads(loss, (codes,), order=1, modes=["rev"], eps=1e-2, rtol=1e-2)


def test_hsic_falls_along_its_gradient():
    codes = gaussian(32, 2, 2) + gaussian(32, 1, 2, seed=1)
    value, gradient = jax.jit(jax.value_and_grad(hsic))(codes, jnp.ones(32))
    assert jitted["hsic"](codes - 0.1 * gradient / np.abs(gradient).max(), jnp.ones(32)) < value


def test_standardised_rows_that_count():
    codes, weight = 7 + 3 * gaussian(6, 2, 2), np.array([1, 1, 1, 1, 0, 0], np.float32)
    found = np.asarray(standardised(jnp.asarray(codes), weight))[:4]
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(0), 1, rtol=1e-5)
