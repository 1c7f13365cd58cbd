"""All lowerings compute one function, borders included; the filters have their textbook values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.fir import bilinear_double, fir, normalized, pad
from l2s_jax.layers.resample import conv_down, conv_up
from tests.helpers.draws import normal

TAPS = ((1, 2, 1), (1, 3, 3, 1))
filtered = jax.jit(fir, static_argnums=(1, 2), static_argnames="gain")
doubled = jax.jit(bilinear_double)
halve = jax.jit(conv_down, static_argnums=(2, 3, 4))
double = jax.jit(conv_up, static_argnums=(2, 3))


def correlate(x, taps, stride=1):
    """Two-dimensional filter, written as the four loops of its definition."""
    window = np.outer(normalized(taps), normalized(taps))
    n = len(taps)
    rows = range(0, x.shape[1] - n + 1, stride)
    columns = range(0, x.shape[2] - n + 1, stride)
    return np.stack(
        [np.stack([np.einsum("bhwc,hw->bc", x[:, i : i + n, j : j + n], window) for j in columns], 1) for i in rows], 1
    )


@pytest.mark.parametrize(("taps", "stride"), list(itertools.product(TAPS, (1, 2))))
def test_fir_is_the_two_dimensional_filter(taps, stride):
    x = normal(0, 2, 7, 9, 3)
    np.testing.assert_allclose(filtered(x, taps, stride), correlate(x, taps, stride), atol=1e-6)


@pytest.mark.parametrize("taps", TAPS)
def test_fir_keeps_a_constant_times_the_gain(taps):
    np.testing.assert_allclose(filtered(np.ones((1, 6, 6, 2), np.float32), taps, gain=4.0), 4.0, rtol=1e-6)


def test_reflect_does_not_repeat_the_border():
    row = jnp.arange(4.0)[None, None, :, None] * jnp.ones((1, 4, 1, 1))
    np.testing.assert_array_equal(pad(row, 2, 1, "reflect")[0, 0, :, 0], [2, 1, 0, 1, 2, 3, 2])


def test_bilinear_doubling_has_half_pixel_centres_and_repeated_borders():
    x = normal(1, 2, 5, 3, 4)
    np.testing.assert_allclose(doubled(x), jax.image.resize(x, (2, 10, 6, 4), "bilinear"), atol=1e-6)
    ramp = doubled(np.float32([0, 1]).reshape(1, 1, 2, 1))
    np.testing.assert_allclose(ramp[0, 0, :, 0], [0.0, 0.25, 0.75, 1.0])


@pytest.mark.parametrize(
    ("taps", "size", "mode"), [(t, k, m) for t in TAPS for k, m in ((3, "zero"), (3, "reflect"), (1, "zero"))]
)
def test_halving_lowerings_agree(taps, size, mode):
    x, kernel = normal(2, 2, 6, 8, 3), normal(3, size, size, 3, 5)
    direct = halve(x, kernel, taps, mode, "direct")
    assert direct.shape == (2, 3, 4, 5)
    np.testing.assert_allclose(halve(x, kernel, taps, mode, "folded"), direct, atol=1e-5)


def test_halving_matches_its_definition():
    x, kernel, taps = normal(4, 1, 4, 4, 2), normal(5, 3, 3, 2, 3), (1, 3, 3, 1)
    blurred = correlate(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), taps)[0]
    windows = [[blurred[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(2)] for i in range(2)]
    expected = np.einsum("yxhwi,hwio->yxo", windows, kernel)
    np.testing.assert_allclose(halve(x, kernel, taps, "zero", "direct")[0], expected, atol=1e-5)


def test_doubling_lowerings_agree():
    x, kernel = normal(6, 2, 3, 5, 4), normal(7, 3, 3, 4, 2)
    direct = double(x, kernel, (1, 3, 3, 1), "direct")
    assert direct.shape == (2, 6, 10, 2)
    np.testing.assert_allclose(double(x, kernel, (1, 3, 3, 1), "folded"), direct, atol=1e-5)


def test_doubling_matches_its_definition():
    x, kernel, taps = normal(8, 1, 3, 3, 2), normal(9, 3, 3, 2, 2), (1, 3, 3, 1)
    spread = np.zeros((1, 9, 9, 2))  # size 2H + 1, one zero on each side
    for i, j in itertools.product(range(3), range(3)):
        spread[0, 1 + 2 * i : 4 + 2 * i, 1 + 2 * j : 4 + 2 * j] += np.einsum("i,hwio->hwo", x[0, i, j], kernel)
    np.testing.assert_allclose(double(x, kernel, taps, "direct"), 4 * correlate(spread, taps), atol=1e-5)


def penalty(lowering, x, kernel):
    """The squared gradient of a map that is doubled and halved: what R1 and the generator's step differentiate."""

    def energy(x):
        up = conv_up(x, kernel, (1, 3, 3, 1), lowering)
        return jnp.sum(jnp.tanh(conv_down(up, kernel, (1, 3, 3, 1), "zero", lowering)))

    return jnp.sum(jax.grad(energy)(x) ** 2)


differentiate = jax.jit(jax.value_and_grad(penalty, argnums=(1, 2)), static_argnums=0)


def test_derivatives_of_the_lowerings_agree():
    x, kernel = normal(10, 1, 4, 4, 2), normal(11, 3, 3, 2, 2)
    direct, folded = differentiate("direct", x, kernel), differentiate("folded", x, kernel)
    for ours, expected in zip(jax.tree.leaves(folded), jax.tree.leaves(direct), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3 * float(jnp.max(jnp.abs(expected))))


@pytest.mark.parametrize(("lowering", "dilated"), [("direct", True), ("folded", False)])
def test_folded_lowerings_are_ordinary_convolutions_twice_differentiated(lowering, dilated):
    """XLA is slow with maps that are dilated, worst in the gradients of such convolutions."""
    program = differentiate.lower(lowering, jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2))).as_text()
    assert ("lhs_dilate = [2, 2]" in program) == dilated


def test_an_odd_map_cannot_be_halved():
    with pytest.raises(ValueError, match="5x4"):
        conv_down(jnp.zeros((1, 5, 4, 1)), jnp.zeros((3, 3, 1, 1)), (1, 2, 1), "zero", "direct")
