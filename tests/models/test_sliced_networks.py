"""The sliced encoder and decoder: what a slice holds, what a silent cell paints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.models.slice_decoder import SliceDecoder, hearing
from l2s_jax.models.sliced_encoder import SlicedEncoder, normalized_within
from tests.helpers.draws import normal

K, C, S, SIDE = 3, 4, 5, 16


@pytest.fixture(scope="module")
def encoded():
    encoder = SlicedEncoder((C,) * K, S, widths=(8, 16), depths=(1, 1), light_width=8)
    image = np.float32(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)))
    return jax.jit(encoder.init_with_output)(jax.random.key(1), image)[0]


@pytest.fixture(scope="module")
def decoder():
    module = SliceDecoder(width=8, blocks=1)
    variables = jax.jit(module.init)(jax.random.key(2), jnp.zeros((1, K, 4, 4, C)), jnp.zeros((1, K, S)))
    # `coarse` and `constant` start at 0: any value must keep what the tests claim.
    variables = jax.tree.map(lambda x: x + 0.1 * normal(x.size, *x.shape), jax.device_get(variables))
    return jax.jit(lambda structure, style: module.apply(variables, structure, style))


def test_coverage_is_the_share_of_pixels_of_the_light_head(encoded):
    structure, style, logits = encoded
    assert structure.shape == (2, K, SIDE // 4, SIDE // 4, C)
    probability = np.asarray(jax.nn.softmax(logits)).reshape(2, 4, 4, 4, 4, K).mean((2, 4))
    np.testing.assert_allclose(np.moveaxis(structure[..., 0], 1, -1), probability, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(style), axis=-1)), 1, rtol=1e-4)


def test_a_slice_of_fewer_channels_is_silent_in_the_others():
    encoder = SlicedEncoder((2, 4, 3), S, widths=(8, 16), depths=(1, 1), light_width=8)
    image = np.float32(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)))
    structure = np.asarray(jax.jit(encoder.init_with_output)(jax.random.key(1), image)[0][0])
    spoken = np.abs(structure).max(axis=(0, 2, 3)) > 0
    np.testing.assert_array_equal(spoken.sum(-1), [2, 4, 3])
    assert all(row[:size].all() for row, size in zip(spoken, (2, 4, 3), strict=True))


def test_content_is_normalised_within_its_region():
    rng = np.random.default_rng(0)
    content = (5 + 0.5 * rng.normal(size=(1, 8, 8, 2, 3))).astype(np.float32)
    coverage = np.zeros((1, 8, 8, 2, 1), np.float32)
    coverage[:, :4, :, 0] = 1.0
    coverage[:, 4:, :, 1] = 0.5
    within = jax.jit(normalized_within)
    found = np.asarray(within(content, coverage))
    for inside in (found[0, :4, :, 0], found[0, 4:, :, 1]):
        np.testing.assert_allclose(inside.mean((0, 1)), 0, atol=0.02)
        np.testing.assert_allclose(inside.std((0, 1)), 1, atol=0.15)  # the soft bound takes a little
    assert np.abs(found).max() <= 3
    # The mean colour of a region is not in its content; what lies outside does not count.
    content[:, 4:, :, 0] += 100.0
    again = np.asarray(within(content + 7, coverage))
    np.testing.assert_allclose(again[0, :4, :, 0], found[0, :4, :, 0], atol=1e-4)
    # A region that no cell shows has finite content.
    assert np.isfinite(within(content, np.zeros_like(coverage))).all()


def test_hearing_is_full_at_full_coverage_and_flat_at_none():
    cells = jnp.asarray([0.0, 0.01, 1.0, -1.0])[:, None]
    np.testing.assert_allclose(hearing(cells)[:, 0], [0, 0.0026, 1, 0], atol=1e-4)


def test_silent_cells_show_the_flat_colour_of_their_style(decoder):
    style = normal(3, 2, K, S)
    colours, logits = decoder(jnp.zeros((2, K, 4, 4, C)), style)
    assert (colours.shape, logits.shape) == ((2, K, SIDE, SIDE, 3), (2, SIDE, SIDE, K))
    np.testing.assert_allclose(colours, np.broadcast_to(colours[:, :, :1, :1], colours.shape), atol=1e-6)
    assert np.abs(colours[0] - colours[1]).max() > 0.01


def test_content_where_nothing_covers_paints_nothing(decoder):
    """Noise on a silent cell is not heard, though the cell beside it speaks."""
    style = normal(3, 1, K, S)
    quiet = normal(4, 1, K, 4, 4, C)
    quiet[..., 0] = 1
    loud = quiet.copy()
    quiet[:, :, 2:], loud[:, :, 2:, :, 0] = 0, 0
    for one, other in zip(decoder(quiet, style), decoder(loud, style), strict=True):
        np.testing.assert_array_equal(one, other)


def test_slices_are_decoded_each_by_itself(decoder):
    style = normal(3, 1, K, S)
    structure = normal(4, 1, K, 4, 4, C)
    structure[..., 0] = 1
    changed = structure.copy()
    changed[:, 1] *= -0.5
    before, after = decoder(structure, style), decoder(changed, style)
    for one, other, axis in zip(before, after, (1, -1), strict=True):
        change = np.abs(np.moveaxis(np.asarray(one) - np.asarray(other), axis, 0)).reshape(K, -1).max(axis=1)
        assert change[1] > 1e-3
        assert change[0] == change[2] == 0
