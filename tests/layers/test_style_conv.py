"""Styled convolutions against their definition, a kernel for every row: values, borders, derivatives, precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from l2s_jax.layers.fir import bilinear_double
from l2s_jax.layers.style_conv import ModulatedConv, StyleConv, ToImage, style_conv
from tests.helpers import numpy_stylegan2
from tests.helpers.draws import normal
from tests.helpers.random_weights import random_variables

TAPS = (1, 3, 3, 1)
ROWS, INPUTS, OUTPUTS, CODE = 2, 5, 3, 4
convolved = jax.jit(style_conv)


@pytest.fixture(scope="module")
def arrays():
    """x, kernel and style, with odd numbers of rows, columns and channels."""
    return normal(0, ROWS, 3, 5, INPUTS), normal(1, 3, 3, INPUTS, OUTPUTS), normal(2, ROWS, INPUTS)


def reference(x, kernel, style, gain, **options):
    x, kernel, style = (np.asarray(a, np.float64) for a in (x, kernel, style))
    weight = gain * kernel.transpose(3, 2, 0, 1)
    rows = [
        numpy_stylegan2.modulated(row.transpose(2, 0, 1), weight, s, **options) for row, s in zip(x, style, strict=True)
    ]
    return np.stack(rows).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("demodulate", "up", "lowering"),
    [
        (d, up, low)
        for d in (True, False)
        for up, low in (((), "auto"), (TAPS, "direct"), (TAPS, "folded"), (TAPS, "auto"))
    ],
)
def test_equals_a_kernel_for_every_row(arrays, demodulate, up, lowering):
    options = {"gain": 0.3, "demodulate": demodulate}
    y = jax.jit(functools.partial(style_conv, up=up, lowering=lowering, **options))(*arrays)
    np.testing.assert_allclose(y, reference(*arrays, up=bool(up), **options), atol=2e-5)


def test_a_kernel_of_one_pixel(arrays):
    x, _, style = arrays
    kernel = normal(3, 1, 1, INPUTS, OUTPUTS)
    y = style_conv(x, kernel, style, 0.5, demodulate=False)
    np.testing.assert_allclose(y, reference(x, kernel, style, 0.5, demodulate=False), atol=1e-5)


@pytest.mark.parametrize(("up", "lowering"), [((), "auto"), (TAPS, "direct"), (TAPS, "folded")])
def test_first_and_second_derivatives(up, lowering):
    """Of input, kernel and style: the path length penalty differentiates all of them twice."""
    inputs = normal(4, 1, 2, 3, 2), normal(5, 3, 3, 2, 1), 1 + 0.3 * normal(6, 1, 2)
    function = jax.jit(functools.partial(style_conv, up=up, lowering=lowering))
    check_grads(function, inputs, order=2, modes=["rev"], atol=5e-3, rtol=5e-3)


def test_bfloat16_rounds_the_products_alone(arrays):
    x, kernel, style = arrays
    exact = convolved(x, kernel, style)
    rounded = convolved(x.astype(jnp.bfloat16), kernel, style)
    assert rounded.dtype == jnp.float32
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 1e-2


def test_a_style_scales_only_its_own_row_and_demodulation_takes_a_common_factor_away(arrays):
    x, kernel, style = arrays[0], arrays[1], arrays[2].copy()
    y = convolved(x, kernel, style)
    louder = convolved(x, 7 * kernel, style * np.float32([[1], [3]]))
    np.testing.assert_allclose(louder, y, rtol=1e-4, atol=1e-5)
    style[1, 0] += 1
    other = convolved(x, kernel, style)
    np.testing.assert_array_equal(other[0], y[0])
    assert np.abs(other[1] - y[1]).max() > 0.01


def test_layers_have_the_published_scales(arrays):
    x, _, _ = arrays
    w = normal(7, ROWS, CODE)
    layer = ModulatedConv(OUTPUTS)
    p = random_variables(layer, x, w)["params"]
    style = w @ np.asarray(p["affine"]["kernel"]) / CODE**0.5 + np.asarray(p["affine"]["bias"])
    expected = reference(x, p["kernel"], style, (9 * INPUTS) ** -0.5)
    np.testing.assert_allclose(jax.jit(layer.apply)({"params": p}, x, w), expected, atol=2e-5)

    noise = normal(8, ROWS, 3, 5, 1)
    styled = StyleConv(OUTPUTS)
    inner = {"conv": p, "noise_strength": jnp.float32(0.7), "bias": normal(9, OUTPUTS)}
    y = jax.jit(styled.apply)({"params": inner}, x, w, noise)
    summed = expected + 0.7 * np.asarray(noise) + np.asarray(inner["bias"])[None, None, None]
    np.testing.assert_allclose(y, numpy_stylegan2.leaky(summed), atol=3e-5)

    image = ToImage()
    p = random_variables(image, x, w)["params"]
    style = w @ np.asarray(p["conv"]["affine"]["kernel"]) / CODE**0.5 + np.asarray(p["conv"]["affine"]["bias"])
    expected = reference(x, p["conv"]["kernel"], style, INPUTS**-0.5, demodulate=False)
    expected += np.asarray(p["bias"])[None, None, None]
    np.testing.assert_allclose(jax.jit(image.apply)({"params": p}, x, w), expected, atol=2e-5)


def test_a_new_layer_is_silent_about_noise_and_its_style_is_one(arrays):
    x, _, _ = arrays
    w = normal(7, ROWS, CODE)
    layer = StyleConv(OUTPUTS, dtype=jnp.bfloat16)
    quiet, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x, w, None)
    assert quiet.dtype == jnp.bfloat16
    np.testing.assert_array_equal(jax.jit(layer.apply)(variables, x, w, normal(8, 1, 3, 5, 1)), quiet)
    p = variables["params"]["conv"]
    np.testing.assert_array_equal(p["affine"]["bias"], 1.0)


def test_an_image_is_doubled_between_zeros():
    image = normal(10, 1, 3, 5, 2)
    double = jax.jit(lambda x: bilinear_double(x, border="zero")[0])
    expected = numpy_stylegan2.double(np.asarray(image[0], np.float64).transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_allclose(double(image), expected, atol=1e-6)
    ramp = double(np.float32([1, 2]).reshape(1, 1, 2, 1))[0, :, 0]
    # Along the row; the single row loses a quarter to the zeros above and below.
    np.testing.assert_allclose(ramp, 0.75 * np.array([0.75, 1.25, 1.75, 1.5]))
