"""The modulated convolution shares one kernel, one style per image, and exposes its noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.modulated import ModulatedConv, StyledConv
from tests.helpers.draws import normal

B, K, S = 2, 3, 6


@pytest.fixture(scope="module")
def inputs():
    return normal(0, B * K, 4, 4, 5), normal(1, B, S)


def drawn(layer, *inputs, seed=1):
    """(what `layer` computes, its new variables)."""
    return jax.jit(layer.init_with_output)(jax.random.key(seed), *inputs)


@pytest.mark.parametrize("demodulate", [True, False])
def test_equals_per_sample_weights(inputs, demodulate):
    x, style = inputs
    layer = ModulatedConv(7, demodulate=demodulate)
    y, variables = drawn(layer, x, style)
    p = jax.tree.map(np.asarray, variables["params"])
    kernel = p["kernel"] / (9 * 5) ** 0.5
    scale = np.asarray(style) @ p["affine"]["kernel"] / S**0.5 + 1
    if demodulate:
        scale = scale / np.sqrt(np.mean(scale**2, -1, keepdims=True))
        kernel = kernel / np.sqrt(np.sum(kernel**2, (0, 1, 2)))
    padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))  # [N, y, x, I, h, w]
    weights = kernel[None] * np.repeat(scale, K, 0)[:, None, None, :, None]
    np.testing.assert_allclose(y, np.einsum("nyxihw,nhwio->nyxo", windows, weights), atol=2e-5)


def test_the_style_reaches_only_its_own_image(inputs):
    x, style = inputs
    layer = ModulatedConv(7, up=(1, 3, 3, 1))
    y, variables = drawn(layer, x, style)
    changed = jax.jit(layer.apply)(variables, x, style + np.float32([[0], [1]]))
    assert y.shape == (B * K, 8, 8, 7)
    np.testing.assert_array_equal(changed[:K], y[:K])
    assert np.abs(np.asarray(changed[K:]) - y[K:]).max(axis=(1, 2, 3)).min() > 0.01


def test_demodulation_removes_the_scale_of_kernel_and_style(inputs):
    x, style = inputs
    layer = ModulatedConv(4)
    y, variables = drawn(layer, x, style)
    p = variables["params"]
    louder = {"kernel": 10 * p["kernel"], "affine": jax.tree.map(lambda v: 3 * v, p["affine"])}
    np.testing.assert_allclose(jax.jit(layer.apply)({"params": louder}, x, style), y, atol=1e-5)


def test_noise_is_explicit_and_silent_at_first(inputs):
    x, style = inputs
    layer = StyledConv(3)
    _, variables = drawn(layer, x, style, None)
    apply, noise = jax.jit(layer.apply), normal(5, 1, 4, 4, 1)
    quiet = apply(variables, x, style, None)
    np.testing.assert_array_equal(apply(variables, x, style, noise), quiet)
    loud = {"params": variables["params"] | {"noise_strength": jnp.asarray(0.5)}}
    np.testing.assert_array_equal(apply(loud, x, style, None), quiet)
    shift = apply(loud, x, style, 100 + 0 * noise) - quiet  # +50 in front of the activation
    assert float(jnp.min(shift)) > 40
    assert float(jnp.max(shift)) < 80
