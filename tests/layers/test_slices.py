import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers.slices import PUBLISHED, masked_codes, slice_masks, unit_norm, unit_norm_slices


def test_published_table_covers_eight_channels_once():
    np.testing.assert_array_equal(slice_masks(PUBLISHED, 8).sum(0), 1)
    assert slice_masks(PUBLISHED, 8).sum(1).tolist() == [2, 2, 2, 1, 1]


def test_masked_codes_keep_one_slice_each_and_sum_to_the_code():
    code = jax.random.normal(jax.random.key(0), (2, 3, 3, 8))
    codes = masked_codes(code, PUBLISHED)
    assert codes.shape == (2, 5, 3, 3, 8)
    np.testing.assert_array_equal(codes.sum(1), code)
    np.testing.assert_array_equal(codes[:, 3, ..., 6], code[..., 6])
    assert not codes[:, 3, ..., :6].any()


def test_unit_norms():
    code = 7 * jax.random.normal(jax.random.key(1), (2, 3, 3, 8))
    np.testing.assert_allclose(jnp.linalg.norm(unit_norm(code), axis=-1), 1, rtol=1e-5)
    sliced = unit_norm_slices(code, PUBLISHED[:4])
    np.testing.assert_allclose(jnp.linalg.norm(sliced[..., 2:4], axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(sliced[..., 7], code[..., 7])
    assert not unit_norm(jnp.zeros((1, 4))).any()


@pytest.mark.parametrize("table", [((0, 9),), ((3, 3),), ((-1, 2),)])
def test_a_table_that_does_not_fit_is_an_error(table):
    with pytest.raises(ValueError, match="does not fit"):
        slice_masks(table, 8)
