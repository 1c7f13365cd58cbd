"""Enlargement is that of JAX, and its transpose spreads what it gathers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.enlarge import enlarge


@pytest.mark.parametrize("size", [(6, 8), (24, 32), (7, 9), (3, 4), (3, 8)])
def test_it_is_the_bilinear_resize_of_jax(size):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 5)), jnp.float32)
    expected = jax.image.resize(x, (2, *size, 5), "bilinear")
    np.testing.assert_allclose(jax.jit(enlarge, static_argnums=1)(x, size), expected, rtol=0, atol=1e-6)


def test_a_constant_stays_constant_and_the_dtype_stays():
    enlarged = enlarge(jnp.full((1, 2, 2, 1), 3, jnp.bfloat16), (8, 8))
    assert enlarged.dtype == jnp.bfloat16
    assert jnp.all(enlarged == 3)
