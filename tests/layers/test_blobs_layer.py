import jax
import numpy as np
import pytest

from input_pipeline.images.components import blobs
from l2s_jax.layers.blobs import largest_blobs


@pytest.fixture(scope="module")
def masks():
    """Blocky, so that pieces of one size abound; some of it ignored."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 4, (3, 6, 6))
    coarse[coarse == 3] = 255
    coarse[2] = 255
    return coarse.repeat(3, 1).repeat(3, 2)


@pytest.mark.parametrize("min_pixels", [1, 10])
def test_pieces_that_have_a_blob_are_those_of_the_pipeline(masks, min_pixels):
    found = np.asarray(jax.jit(lambda x: largest_blobs(x, 40, min_pixels=min_pixels))(masks))
    assert found.dtype == np.int32
    for mask, ids in zip(masks, found, strict=True):
        every = blobs(mask, 40, min_pixels=1)
        sizes = np.bincount(every[every >= 0], minlength=40)
        np.testing.assert_array_equal(ids, np.where((every >= 0) & (sizes[every] >= min_pixels), every, -1))
    assert (found[2] == -1).all()


def test_the_smallest_are_left_out_where_ids_are_few(masks):
    few, many = jax.jit(lambda x: [largest_blobs(x, count, min_pixels=1) for count in (5, 40)])(masks)
    assert many.max() > 5
    np.testing.assert_array_equal(few, np.where(many < 5, many, -1))


def test_more_ids_than_pixels():
    found = jax.jit(lambda x: largest_blobs(x, 64, min_pixels=1))(np.array([[[1, 1, 0]]]))
    np.testing.assert_array_equal(found, [[[0, 0, 1]]])
