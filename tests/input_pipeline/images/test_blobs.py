import numpy as np
import pytest
from skimage.measure import label

from input_pipeline.errors import UserError
from input_pipeline.images.components import NONE, blobs
from input_pipeline.labels import IGNORE
from input_pipeline.synthetic import render


def pairs(a, b):
    """The pairs of values that occur together: as many as there are values if `a` and `b` split the pixels alike."""
    return len(np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).T)


def assert_same_partition(a, b):
    assert pairs(a, b) == len(np.unique(a)) == len(np.unique(b))


def spiral(side):
    """A line one pixel wide that winds inwards, with a gap as wide: the longest component of its area."""
    mask = np.zeros((side, side), np.uint8)
    top, left, bottom, right = 0, 0, side - 1, side - 1
    while top < bottom and left < right:
        mask[top, left : right + 1] = 1
        mask[top : bottom + 1, right] = 1
        mask[bottom, left + 2 : right + 1] = 1
        mask[top + 2 : bottom + 1, left + 2] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
        mask[top, left - 1] = 1
    return mask


def random_mask(seed, classes=5, shape=(23, 31)):
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, classes, shape).astype(np.uint8)
    mask[rng.random(shape) < 0.1] = IGNORE
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_skimage(seed):
    mask = random_mask(seed)
    found = blobs(mask, 10_000, min_pixels=1)
    np.testing.assert_array_equal(found == NONE, mask == IGNORE)
    truth = label(np.where(mask == IGNORE, 0, mask.astype(int) + 1), background=0, connectivity=1)
    assert_same_partition(found, truth)


def test_components_of_a_face_are_those_of_skimage():
    mask = render(seed=0, index=3, size=96)["mask"]
    truth = label(mask.astype(int) + 1, background=0, connectivity=1)
    assert_same_partition(blobs(mask, 256, min_pixels=1), truth)


@pytest.mark.parametrize("side", [5, 6, 7, 24, 65])
def test_spiral(side):
    mask = spiral(side)
    assert label(mask, background=0, connectivity=1).max() == 1
    assert_same_partition(blobs(mask, 512, min_pixels=1), label(mask + 1, background=0, connectivity=1))


def test_checkerboard_pixels_touch_at_corners_only():
    mask = (np.indices((6, 5)).sum(axis=0) % 2).astype(np.uint8)
    np.testing.assert_array_equal(blobs(mask, 30, min_pixels=1), np.arange(30).reshape(6, 5))


def test_checkerboard_merges_per_class():
    mask = (np.indices((6, 5)).sum(axis=0) % 2).astype(np.uint8)
    np.testing.assert_array_equal(blobs(mask, 30, min_pixels=2), mask)
    np.testing.assert_array_equal(blobs(mask, 2, min_pixels=1), mask)
    tight = blobs(mask, 5, min_pixels=1)  # three of their own, and a remainder of either class
    np.testing.assert_array_equal(tight.ravel()[:3], [0, 1, 2])
    np.testing.assert_array_equal(tight.ravel()[3:], 3 + mask.ravel()[3:])


def test_known_answer():
    mask = np.array(
        [
            [1, 1, 0, 2],
            [1, 0, 0, 2],
            [0, 0, 1, IGNORE],
            [2, 0, 1, 1],
        ],
        np.uint8,
    )
    every = [[1, 1, 0, 3], [1, 0, 0, 3], [0, 0, 2, NONE], [4, 0, 2, 2]]
    np.testing.assert_array_equal(blobs(mask, 9, min_pixels=1), every)
    np.testing.assert_array_equal(blobs(mask, 5, min_pixels=1), every)
    four = [[1, 1, 0, 3], [1, 0, 0, 3], [0, 0, 2, NONE], [3, 0, 2, 2]]  # both pieces of class 2 are one blob
    np.testing.assert_array_equal(blobs(mask, 4, min_pixels=1), four)
    np.testing.assert_array_equal(blobs(mask, 9, min_pixels=3), four)
    three = [[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 1, NONE], [2, 0, 1, 1]]
    np.testing.assert_array_equal(blobs(mask, 3, min_pixels=1), three)
    classes = [[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 1, NONE], [2, 0, 1, 1]]
    np.testing.assert_array_equal(blobs(mask, 9, min_pixels=100), classes)


@pytest.mark.parametrize("max_blobs", [5, 6, 8, 20, 64])
@pytest.mark.parametrize("min_pixels", [1, 3, 8])
def test_promises_hold_on_noise(max_blobs, min_pixels):
    mask = random_mask(7)
    found = blobs(mask, max_blobs, min_pixels=min_pixels)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found == NONE, mask == IGNORE)
    used = np.unique(found[found != NONE])
    np.testing.assert_array_equal(used, np.arange(len(used)))
    assert len(used) <= max_blobs
    assert all(len(np.unique(mask[found == k])) == 1 for k in used)
    connected = [label(found == k, connectivity=1).max() == 1 for k in used]
    sizes = [(found == k).sum() for k in used]
    assert all(size >= min_pixels for size, whole in zip(sizes, connected, strict=True) if whole)
    own = len(used) - len(np.unique(mask[mask != IGNORE]))  # at most one remainder of each class follows them
    assert sizes[:own] == sorted(sizes[:own], reverse=True)
    np.testing.assert_array_equal(found, blobs(mask, max_blobs, min_pixels=min_pixels))


def test_nothing_to_label():
    np.testing.assert_array_equal(blobs(np.full((3, 4), IGNORE, np.uint8), 4, min_pixels=1), np.full((3, 4), NONE))
    np.testing.assert_array_equal(blobs(np.zeros((1, 1), np.uint8), 1, min_pixels=8), [[0]])


def test_ignored_pixels_cost_no_blob():
    mask = np.full((4, 6), IGNORE, np.uint8)
    mask[3, 1:3], mask[3, 4:] = 7, 5
    expected = np.full((4, 6), NONE)
    expected[3, 1:3], expected[3, 4:] = 0, 1
    np.testing.assert_array_equal(blobs(mask, 2, min_pixels=1), expected)


def test_integer_masks_of_batches_are_labelled_alike():
    mask = random_mask(3)
    expected = blobs(mask, 40, min_pixels=2)
    np.testing.assert_array_equal(blobs(mask.astype(np.int32), 40, min_pixels=2), expected)


def test_too_few_blobs_for_the_classes():
    with pytest.raises(UserError, match="2 blobs are too few for a mask of 3 classes"):
        blobs(np.array([[0, 1, 2]], np.uint8), 2, min_pixels=1)
