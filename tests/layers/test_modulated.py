"""The modulated convolution shares one kernel, one style per image, and exposes its noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.modulated import ModulatedConv, StyledConv

B, K, S = 2, 3, 6


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.random.normal(keys[0], (B * K, 4, 4, 5)), jax.random.normal(keys[1], (B, S))


@pytest.mark.parametrize("demodulate", [True, False])
def test_equals_per_sample_weights(inputs, demodulate):
    x, style = inputs
    layer = ModulatedConv(7, demodulate=demodulate)
    y, variables = layer.init_with_output(jax.random.key(1), x, style)
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
    y, variables = layer.init_with_output(jax.random.key(2), x, style)
    changed = layer.apply(variables, x, style.at[1].add(1.0))
    assert y.shape == (B * K, 8, 8, 7)
    np.testing.assert_array_equal(changed[:K], y[:K])
    assert float(jnp.min(jnp.max(jnp.abs(changed[K:] - y[K:]), axis=(1, 2, 3)))) > 0.01


def test_demodulation_removes_the_scale_of_kernel_and_style(inputs):
    x, style = inputs
    layer = ModulatedConv(4)
    y, variables = layer.init_with_output(jax.random.key(3), x, style)
    p = variables["params"]
    louder = {"kernel": 10 * p["kernel"], "affine": jax.tree.map(lambda v: 3 * v, p["affine"])}
    np.testing.assert_allclose(layer.apply({"params": louder}, x, style), y, atol=1e-5)


def test_noise_is_explicit_and_silent_at_first(inputs):
    x, style = inputs
    layer = StyledConv(3)
    variables = layer.init(jax.random.key(4), x, style, None)
    noise = jax.random.normal(jax.random.key(5), (1, 4, 4, 1))
    quiet = layer.apply(variables, x, style, None)
    np.testing.assert_array_equal(layer.apply(variables, x, style, noise), quiet)
    loud = {"params": variables["params"] | {"noise_strength": jnp.asarray(0.5)}}
    np.testing.assert_array_equal(layer.apply(loud, x, style, None), quiet)
    shift = layer.apply(loud, x, style, 100 + 0 * noise) - quiet  # +50 in front of the activation
    assert float(jnp.min(shift)) > 40
    assert float(jnp.max(shift)) < 80
