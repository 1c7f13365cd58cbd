import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from l2s_jax.losses.independence import cross_covariance


def same(tree):
    return tree


loss_of = jax.jit(cross_covariance, static_argnums=2)


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_value_by_hand():
    codes, weight = 3 * gaussian(12, 3, 2) + 5, np.array([1.0] * 10 + [0, 0], np.float32)
    correlation = np.corrcoef(codes[:10].reshape(10, 6).astype(np.float64), rowvar=False)
    blocks = (correlation**2).reshape(3, 2, 3, 2).mean((1, 3))
    expected = blocks[0, 1] + blocks[0, 2] + blocks[1, 2]
    np.testing.assert_allclose(loss_of(codes, weight, same), expected, rtol=1e-5)


def test_equal_slices_score_one_per_pair_and_independent_ones_the_noise_floor():
    one = gaussian(4096, 1, 1)
    np.testing.assert_allclose(loss_of(np.repeat(one, 3, axis=1), jnp.ones(4096), same), 3.0, rtol=1e-5)
    independent = loss_of(gaussian(4096, 3, 8), jnp.ones(4096), same)
    assert 0.5 < independent / (3 / 4095) < 1.5


def test_value_does_not_depend_on_dims_or_scale():
    one = gaussian(64, 2, 1)
    value = loss_of(one, jnp.ones(64), same)
    np.testing.assert_allclose(loss_of(np.repeat(one, 5, axis=2), jnp.ones(64), same), value, rtol=1e-5)
    np.testing.assert_allclose(loss_of(100 * one - 3000, jnp.ones(64), same), value, rtol=1e-4)


def test_constant_slice_scores_zero_with_finite_gradient():
    codes = np.concatenate([gaussian(16, 1, 2), np.ones((16, 1, 2), np.float32)], axis=1)
    value, gradient = jax.value_and_grad(loss_of)(codes, jnp.ones(16), same)
    assert value < 1e-6
    assert np.all(np.isfinite(gradient))


def test_gradient_is_exact_although_the_centre_has_none():
    codes = gaussian(10, 2, 2) + 1
    check_grads(lambda x: loss_of(x, jnp.ones(10), same), (codes,), order=1, modes=["rev"], eps=1e-2, rtol=1e-2)


@pytest.mark.parametrize("offset", [0.0, 4.0])
def test_two_devices_agree_with_one(on_two_devices, offset):
    def loss(scale, codes, weight, psum):
        return cross_covariance(jnp.tanh(scale * codes) + offset, weight, psum)

    # The halves differ in mean: statistics of one device's half would give another value.
    codes = gaussian(8, 3, 2) + np.repeat([0.0, 0.7], 4).astype(np.float32)[:, None, None]
    arrays = (codes, np.array([1, 1, 1, 1, 1, 1, 1, 0], np.float32))
    value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=3)(0.9, *arrays, same)
    split_value, split_gradient = on_two_devices(loss, 0.9, *arrays)
    np.testing.assert_allclose(split_value, value, rtol=1e-5)
    np.testing.assert_allclose(split_gradient, gradient, rtol=1e-4)
