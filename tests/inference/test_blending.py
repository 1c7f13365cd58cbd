"""Soft masks, mixtures, seams and changes with answers that can be counted by hand."""

import numpy as np
import pytest

from input_pipeline.images.resize_rules import PAD_SQUARE, RULES
from l2s_jax.inference import blending, edits, processing


def half(height=6, width=8):
    """A region that is the left half."""
    region = np.zeros((height, width), bool)
    region[:, : width // 2] = True
    return region


def flat(level, height=6, width=8):
    return np.full((height, width, 3), level, np.uint8)


def test_a_soft_mask_falls_in_a_straight_line_outside_of_the_region():
    mask = blending.soft_mask(half(), 3)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, np.tile([1, 1, 1, 1, 0.75, 0.5, 0.25, 0], (6, 1)))
    np.testing.assert_array_equal(blending.soft_mask(half(), 0), half())
    np.testing.assert_array_equal(blending.soft_mask(np.zeros((2, 2), bool), 3), 0)
    np.testing.assert_array_equal(blending.soft_mask(np.ones((2, 2), bool), 3), 1)


def test_the_photo_stays_where_the_mask_is_zero():
    rng = np.random.default_rng(0)
    photo, edited = rng.integers(0, 256, (2, 6, 8, 3), np.uint8)
    mask = blending.soft_mask(half(), 2)
    mixed = blending.blend(photo, edited, mask)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed[mask == 0], photo[mask == 0])
    np.testing.assert_array_equal(mixed[mask == 1], edited[mask == 1])
    np.testing.assert_array_equal(blending.blend(flat(100), flat(160), mask)[0, :, 0], [160] * 4 + [140, 120, 100, 100])


def test_the_seam_of_flat_pictures_is_the_step_of_the_mask():
    """60 levels apart: one step of 60 with scissors, four of 15 with a border of three pixels."""
    photo, edited = flat(100), flat(160)
    soft = blending.seam(photo, edited, blending.soft_mask(half(), 3), half())
    assert soft == blending.Seam(added=pytest.approx(15), cut=pytest.approx(60), photo=0)
    hard = blending.seam(photo, edited, blending.soft_mask(half(), 0), half())
    assert hard.added == hard.cut == pytest.approx(60)
    assert blending.seam(photo, photo, blending.soft_mask(half(), 3), half()).added == 0
    turned = (np.swapaxes(x, 0, 1) for x in (photo, edited, blending.soft_mask(half(), 3), half()))
    assert blending.seam(*turned).added == pytest.approx(15)
    nothing = np.zeros((6, 8), bool)
    assert blending.seam(photo, edited, blending.soft_mask(nothing, 3), nothing) == (None, None, None)


def test_the_photos_own_contrast_is_beside_the_seam():
    photo = np.repeat(np.tile(np.arange(0, 80, 10, dtype=np.uint8), (6, 1))[..., None], 3, -1)
    found = blending.seam(photo, photo, blending.soft_mask(half(), 3), half())
    assert (found.added, found.photo) == (0, pytest.approx(10))


def test_changes_are_means_of_grey_levels():
    after = flat(100)
    after[:, :4] += 20
    after[:, 4:, 0] -= 3  # one of three channels
    found = blending.change(flat(100), after, half())
    assert found == (pytest.approx(20), pytest.approx(1), pytest.approx(0.05), 0.5)
    everything = blending.change(flat(100), after, np.ones((6, 8), bool))
    assert (everything.outside, everything.outside_over_inside, everything.region) == (None, None, 1)
    nothing = blending.change(flat(100), after, np.zeros((6, 8), bool))
    assert (nothing.inside, nothing.outside_over_inside, nothing.region) == (None, None, 0)
    assert blending.change(after, after, half()) == (0, 0, None, 0.5)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(("height", "width"), [(96, 40), (40, 96), (24, 24), (64, 64)])
def test_an_edit_lands_at_its_place_in_the_photo(rule, height, width):
    """The photo is red where it is edited: the square turns this blue, and so must the photo, there and only there."""
    side, red, blue, grey = 32, (200, 0, 0), (0, 0, 200), (90, 90, 90)
    place = np.zeros((height, width), bool)
    place[height // 4 : height // 2, width // 2 : 3 * width // 4] = True
    photo = np.where(place[..., None], np.uint8(red), np.uint8(grey))
    square = rule.fit({"image": photo, "mask": place.astype(np.uint8)}, side)
    region = square["mask"] == 1
    after = np.where(region[..., None], np.uint8(blue), np.uint8(grey))
    edit = edits.compare(square["image"], after, region, region)
    done = edits.lay_into(photo, edit, 2, rule)
    assert (done.image.shape, done.image.dtype) == (photo.shape, np.uint8)
    box = rule.box(height, width, side)
    reach = np.ceil([height / (box.bottom - box.top), width / (box.right - box.left)]).astype(int)
    inner = np.zeros_like(place)
    inner[height // 4 + reach[0] : height // 2 - reach[0], width // 2 + reach[1] : 3 * width // 4 - reach[1]] = True
    assert inner.any()
    np.testing.assert_array_equal(done.image[inner], np.broadcast_to(blue, (inner.sum(), 3)))
    far = np.ones_like(place)  # beyond the soft border and a pixel of interpolation
    top, left = height // 4 - 4 * reach[0], width // 2 - 4 * reach[1]
    far[max(0, top) : height // 2 + 4 * reach[0], max(0, left) : 3 * width // 4 + 4 * reach[1]] = False
    assert far.any()
    np.testing.assert_array_equal(done.image[far], photo[far])
    assert done.blend.untouched >= far.mean()
    assert done.blend.change.inside > 20 * done.blend.change.outside
    assert (edit.blend, edit.overlap) == (None, 1)
    assert edit.image is edit.after


def test_pixels_of_the_square_pass_through_a_photo_of_its_size():
    plane = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    np.testing.assert_array_equal(processing.from_square(plane, 16, 16, PAD_SQUARE), plane)
