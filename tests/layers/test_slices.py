import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.slices import PUBLISHED, descriptors, masked_codes, slice_masks, unit_norm, unit_norm_slices
from tests.helpers.draws import normal

described = jax.jit(descriptors)


def test_published_table_covers_eight_channels_once():
    np.testing.assert_array_equal(slice_masks(PUBLISHED, 8).sum(0), 1)
    assert slice_masks(PUBLISHED, 8).sum(1).tolist() == [2, 2, 2, 1, 1]


def test_masked_codes_keep_one_slice_each_and_sum_to_the_code():
    code = jnp.asarray(normal(0, 2, 3, 3, 8))
    codes = masked_codes(code, PUBLISHED)
    assert codes.shape == (2, 5, 3, 3, 8)
    np.testing.assert_array_equal(codes.sum(1), code)
    np.testing.assert_array_equal(codes[:, 3, ..., 6], code[..., 6])
    assert not codes[:, 3, ..., :6].any()


def test_unit_norms():
    code = 7 * normal(1, 2, 3, 3, 8)
    np.testing.assert_allclose(np.linalg.norm(jax.jit(unit_norm)(code), axis=-1), 1, rtol=1e-5)
    sliced = jax.jit(unit_norm_slices, static_argnums=1)(code, PUBLISHED[:4])
    np.testing.assert_allclose(np.linalg.norm(sliced[..., 2:4], axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(sliced[..., 7], code[..., 7])
    assert not unit_norm(jnp.zeros((1, 4))).any()


@pytest.mark.parametrize("table", [((0, 9),), ((3, 3),), ((-1, 2),)])
def test_a_table_that_does_not_fit_is_an_error(table):
    with pytest.raises(ValueError, match="does not fit"):
        slice_masks(table, 8)


def blob(rows, columns, side=12):
    """A code [1, 1, side, side, 2]: coverage 1 and content u in a rectangle of cells, u from -1 at its left to 1."""
    code = np.zeros((1, 1, side, side, 2), np.float32)
    u = np.linspace(-1, 1, columns.stop - columns.start)
    code[0, 0, rows, columns, 0] = 1
    code[0, 0, rows, columns, 1] = u
    return code


def test_descriptors_are_moments_in_the_slices_own_frame():
    style = np.full((1, 1, 3), 7, np.float32)
    code = blob(slice(2, 8), slice(1, 9))
    found = np.asarray(described(code, style))
    assert found.shape == (1, 1, 2 * 6 + 3)
    # By hand: the share of a cell is proportional to 1 + content^2.
    share = (code**2).sum(-1)[0, 0]
    share /= share.sum()
    y, x = np.mgrid[:12, :12]
    u, v = ((at - (share * at).sum()) / np.sqrt((share * (at - (share * at).sum()) ** 2).sum()) for at in (x, y))
    basis = np.stack([np.ones_like(u), u, v, u * u - 1, u * v, v * v - 1])
    expected = np.einsum("hw,mhw,hwc->mc", share, basis, code[0, 0])
    np.testing.assert_allclose(found[0, 0, :12].reshape(6, 2), expected, atol=1e-5)
    assert abs(expected[1, 1]) > 0.5  # content that rises to the right
    np.testing.assert_array_equal(found[0, 0, 12:], 7)


def test_descriptors_do_not_tell_where_a_slice_lies():
    here, there = (
        described(blob(slice(row, row + 5), slice(column, column + 6)), np.zeros((1, 4)))
        for row, column in ((0, 0), (6, 5))
    )
    assert here.shape == (1, 1, 12)  # a shared style describes no slice
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_descriptors_do_not_tell_how_large_a_slice_is():
    """But for the steps of the cells."""
    small, large = (described(blob(slice(0, size), slice(0, size), side=48), np.zeros((1, 4))) for size in (20, 40))
    np.testing.assert_allclose(small, large, atol=0.05)


def test_descriptors_of_silence_and_of_a_single_cell_are_finite():
    one = np.zeros((1, 1, 6, 6, 2), np.float32)
    one[0, 0, 3, 2] = 1
    slope = jax.jit(jax.grad(lambda x: descriptors(x, np.zeros((1, 1, 2))).sum()))
    for code in (one, np.zeros_like(one)):
        assert np.isfinite(slope(code)).all()
    np.testing.assert_allclose(described(one, np.zeros((1, 1, 0)))[0, 0, :4], [1, 1, 0, 0], atol=1e-5)
