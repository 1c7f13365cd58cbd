"""Both lowerings of the depthwise convolution compute its definition, and so do their gradients."""

import itertools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.depthwise import DepthwiseConv, depthwise

LOWERINGS = ("grouped", "shifted")
CASES = list(itertools.product((3, 5, 7), (1, 2)))


def definition(x, kernel, stride, weights):
    """Return (y, dx, dkernel) in float64 with the loops of the definition; `weights` are the cotangents of y."""
    x, kernel, weights = (np.asarray(a, np.float64) for a in (x, kernel, weights))
    size, margin = kernel.shape[0], kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    y, dpadded, dkernel = np.zeros(weights.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
    for r, s in np.ndindex(y.shape[1:3]):
        for i, j in np.ndindex(size, size):
            row, column = stride * r + i, stride * s + j
            y[:, r, s] += padded[:, row, column] * kernel[i, j, 0]
            dpadded[:, row, column] += weights[:, r, s] * kernel[i, j, 0]
            dkernel[i, j, 0] += np.sum(padded[:, row, column] * weights[:, r, s], axis=0)
    return y, dpadded[:, margin:-margin, margin:-margin], dkernel


@partial(jax.jit, static_argnums=(3, 4))
def ours(x, kernel, weights, stride, lowering):
    y, vjp = jax.vjp(lambda x, kernel: depthwise(x, kernel, stride, lowering), x, kernel)
    return (y, *vjp(weights))


def example(size, stride, dtype=jnp.float32, height=9, width=6):
    stream = np.random.default_rng(size + stride)
    shapes = (2, height, width, 3), (size, size, 1, 3), (2, -(-height // stride), -(-width // stride), 3)
    return [jnp.asarray(stream.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize(("size", "stride"), CASES)
def test_lowerings_match_the_definition(size, stride):
    x, kernel, weights = example(size, stride)
    expected = definition(x, kernel, stride, weights)
    for lowering in LOWERINGS:
        for actual, exact in zip(ours(x, kernel, weights, stride, lowering), expected, strict=True):
            np.testing.assert_allclose(actual, exact, atol=2e-5)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_map_smaller_than_the_kernel(lowering):
    x, kernel, weights = example(7, 2, height=2, width=1)
    for actual, exact in zip(ours(x, kernel, weights, 2, lowering), definition(x, kernel, 2, weights), strict=True):
        np.testing.assert_allclose(actual, exact, atol=1e-5)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_low_precision_rounds_once(lowering):
    """Sums are float32: the results are the exact ones of the rounded inputs to half a unit in the last place."""
    x, kernel, weights = example(5, 1, jnp.bfloat16)
    for actual, exact in zip(ours(x, kernel, weights, 1, lowering), definition(x, kernel, 1, weights), strict=True):
        assert actual.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(actual, np.float64), exact, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize(("platform", "groups"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_each_platform_gets_its_lowering(platform, groups):
    x, kernel, _ = example(3, 1)
    lowered = jax.jit(depthwise).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in lowered) == groups


def test_second_derivatives_and_batching():
    x, kernel, weights = example(3, 2)

    def slope(lowering, x):
        return jax.grad(lambda x: jnp.sum(depthwise(x, kernel, 2, lowering) ** 2 * weights))(x)

    squares = [jax.jit(jax.grad(lambda x, w=w: jnp.sum(slope(w, x) ** 2)))(x) for w in LOWERINGS]
    np.testing.assert_allclose(*squares, rtol=1e-4, atol=1e-3)
    each = jax.jit(jax.vmap(lambda x: depthwise(x[None], kernel, 2)[0]))(x)
    np.testing.assert_allclose(each, depthwise(x, kernel, 2, "grouped"), atol=1e-5)


def test_layer_has_the_parameters_and_the_values_of_a_grouped_convolution():
    x = example(7, 1)[0]
    old = nn.Conv(3, (7, 7), padding=3, feature_group_count=3, bias_init=nn.initializers.ones)
    variables = old.init(jax.random.key(0), x)
    new = DepthwiseConv(7)
    kernel = new.init(jax.random.key(0), x)["params"]["kernel"]
    np.testing.assert_array_equal(kernel, variables["params"]["kernel"])
    np.testing.assert_allclose(jax.jit(new.apply)(variables, x), jax.jit(old.apply)(variables, x), atol=1e-5)
