"""Equalised layers: scale at run time, learning-rate multiplier, dtypes, paddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.equalized import EqualConv, EqualDense, leaky
from tests.helpers.draws import normal


def test_leaky_keeps_the_second_moment():
    np.testing.assert_allclose(leaky(jnp.asarray([-1.0, 2.0])), [-0.2 * 2**0.5, 2 * 2**0.5], rtol=1e-6)
    noise = normal(0, 10_000)
    assert abs(float(jnp.mean(leaky(noise) ** 2)) - 1.04) < 0.05


def test_dense_scales_its_weights_by_fan_in():
    x = normal(1, 5, 16)
    layer = EqualDense(7, bias_init=1.0)
    y, variables = jax.jit(layer.init_with_output)(jax.random.key(2), x)
    kernel = np.asarray(variables["params"]["kernel"])
    np.testing.assert_allclose(y, x @ kernel / 4 + 1, atol=1e-6)
    wide = jax.jit(EqualDense(400).init)(jax.random.key(3), x)["params"]["kernel"]
    assert abs(np.std(wide) - 1) < 0.05


def test_lr_mul_changes_the_gradient_but_not_the_function():
    x = normal(4, 3, 8)
    plain, slow = EqualDense(4, bias_init=0.5, activate=True), EqualDense(4, bias_init=0.5, activate=True, lr_mul=0.01)
    answers, gradients = [], []
    for layer in (plain, slow):
        y, variables = jax.jit(layer.init_with_output)(jax.random.key(5), x)
        answers.append(y)
        gradients.append(jax.jit(jax.grad(lambda v, layer=layer: jnp.sum(layer.apply(v, x))))(variables))
    np.testing.assert_allclose(*answers, atol=1e-5)
    for fast, damped in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(damped, 0.01 * fast, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (2, 8, 8, 5)),
        ({"pad_mode": "reflect"}, (2, 8, 8, 5)),
        ({"pad_mode": "none", "stride": 2}, (2, 3, 3, 5)),
        ({"down": (1, 2, 1), "pad_mode": "reflect"}, (2, 4, 4, 5)),
        ({"down": (1, 3, 3, 1), "size": 1, "lowering": "folded"}, (2, 4, 4, 5)),
    ],
)
def test_conv_shapes_and_unit_variance(options, shape):
    x = normal(6, 2, 8, 8, 64)
    layer = EqualConv(5, **options)
    y, variables = jax.jit(layer.init_with_output)(jax.random.key(7), x)
    assert y.shape == shape
    assert jax.tree.map(lambda v: v.dtype, variables["params"]) == {"kernel": jnp.float32, "bias": jnp.float32}
    if not options:
        assert 0.5 < float(jnp.mean(y**2)) < 2


def test_reflected_borders_keep_a_constant_constant():
    layer = EqualConv(3, pad_mode="reflect", activate=False)
    y = jax.jit(layer.init_with_output)(jax.random.key(8), jnp.ones((1, 6, 6, 2)))[0]
    np.testing.assert_allclose(y, jnp.broadcast_to(y[:, :1, :1], y.shape), atol=1e-6)


def test_compute_dtype_is_not_the_parameter_dtype():
    x = normal(9, 1, 4, 4, 2)
    for layer in (EqualConv(3, dtype=jnp.bfloat16), EqualDense(3, dtype=jnp.bfloat16)):
        y, variables = jax.jit(layer.init_with_output)(jax.random.key(10), x)
        assert y.dtype == jnp.bfloat16
        assert {v.dtype for v in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
