"""Path lengths of a linear generator, whose Jacobian is known, and the penalty against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.losses.path_length import path_length_penalty, path_lengths
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers.draws import normal

ROWS, LAYERS, CODE, SIDE = 3, 2, 4, 2


@pytest.fixture(scope="module")
def linear():
    return normal(0, LAYERS, CODE, SIDE, SIDE, 3), normal(1, ROWS, SIDE, SIDE, 3)


@jax.jit
def lengths_of(jacobian, noise):
    codes = jnp.ones((ROWS, LAYERS, CODE))
    return path_lengths(lambda codes: jnp.einsum("blw,lwhvc->bhvc", codes, jacobian), codes, noise)


def test_lengths_of_a_linear_generator(linear):
    jacobian, noise = (np.asarray(a, np.float64) for a in linear)
    slopes = np.einsum("lwhvc,bhvc->blw", jacobian, noise) / SIDE
    expected = np.sqrt((slopes**2).sum(2).mean(1))
    np.testing.assert_allclose(lengths_of(*linear), expected, rtol=1e-5)
    np.testing.assert_allclose(lengths_of(3 * linear[0], linear[1]), 3 * expected, rtol=1e-5)


def test_an_image_without_slope_has_a_finite_gradient(linear):
    slope = jax.jit(jax.grad(lambda jacobian: lengths_of(jacobian, linear[1]).sum()))(0 * linear[0])
    assert np.all(np.isfinite(slope))


def test_the_penalty_pulls_to_the_updated_mean():
    lengths, weight = np.array([1.0, 2.0, 4.0, 99.0]), np.array([1.0, 1.0, 1.0, 0.0])
    running, decay = 1.5, 0.1
    penalty, mean = path_length_penalty(*map(jnp.float32, (lengths, weight, running)), decay, GLOBAL_VIEW.psum)
    expected = running + decay * (lengths[:3].mean() - running)
    assert mean == pytest.approx(expected, rel=1e-6)
    assert penalty == pytest.approx(np.mean((lengths[:3] - expected) ** 2), rel=1e-6)


def test_the_gradient_flows_through_the_mean_as_published():
    weight, running, decay = jnp.ones(3), jnp.float32(1.5), 0.1

    def published(lengths):
        mean = running + decay * (lengths.mean() - running)
        return jnp.mean(jnp.square(lengths - mean))

    lengths = jnp.asarray([1.0, 2.0, 4.0])
    ours = jax.jit(jax.grad(lambda x: path_length_penalty(x, weight, running, decay, GLOBAL_VIEW.psum)[0]))(lengths)
    np.testing.assert_allclose(ours, jax.jit(jax.grad(published))(lengths), rtol=1e-5)


def test_lengths_far_above_their_spread_do_not_cancel():
    lengths = jnp.asarray([1000.0, 1000.25, 999.75, 1000.0])
    penalty, _ = path_length_penalty(lengths, jnp.ones(4), jnp.float32(1000.0), 0.01, GLOBAL_VIEW.psum)
    assert penalty == pytest.approx(0.03125, rel=1e-5)


def test_nothing_but_padding():
    penalty, mean = path_length_penalty(jnp.ones(2), jnp.zeros(2), jnp.float32(0.5), 0.01, GLOBAL_VIEW.psum)
    assert (penalty, mean) == (0.0, 0.5)
