"""Stochastic depth: per example, unbiased, off outside training."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.dropout import DropPath, drop_rates


def test_rows_are_dropped_whole_and_the_others_scaled():
    x = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (4000, 2, 1, 3)), jnp.float32)
    y = np.asarray(DropPath(0.25).apply({}, x, train=True, rngs={"dropout": jax.random.key(1)}))
    kept = (y != 0).all(axis=(1, 2, 3))
    np.testing.assert_allclose(y[kept], np.asarray(x)[kept] / 0.75, rtol=1e-6)
    assert not y[~kept].any()
    assert kept.mean() == pytest.approx(0.75, abs=0.03)  # four standard deviations


def test_it_is_the_identity_outside_training_and_at_rate_0():
    x = jnp.ones((3, 2))
    assert DropPath(0.5).apply({}, x, train=False) is x
    assert DropPath(0.0).apply({}, x, train=True) is x


def test_training_without_the_rng_fails():
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        DropPath(0.5).apply({}, jnp.ones((3, 2)), train=True)


def test_low_precision_stays():
    x = jnp.ones((2, 2), jnp.bfloat16)
    assert DropPath(0.5).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)}).dtype == jnp.bfloat16


def test_rates_grow_linearly():
    np.testing.assert_allclose(drop_rates(0.3, 4), [0, 0.1, 0.2, 0.3])
    assert drop_rates(0.3, 1) == (0.0,)
