"""There and back: pictures into the square, probabilities back onto the picture, by every rule."""

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.images.resize_rules import PAD_SQUARE, RULES, STRETCH
from l2s_jax.inference import processing

EACH = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
SIDE = 32


def one_hot(ids, classes=4):
    return np.eye(classes, dtype=np.float32)[np.minimum(ids, classes - 1)]


@EACH
@pytest.mark.parametrize(("height", "width"), [(40, 96), (96, 40), (64, 64), (20, 20), (8, 30)])
def test_a_mask_comes_back_at_its_place(rule, height, width):
    ids = np.zeros((height, width), np.uint8)
    ids[height // 4 :, width // 2 :] = 1
    ids[3 * height // 4 :, : width // 2] = 2
    square = rule.fit({"image": np.zeros((height, width, 3), np.uint8), "mask": ids}, SIDE)
    found, confidence = processing.upsample_argmax(one_hot(square["mask"]), height, width, rule)
    box = rule.box(height, width, SIDE)
    # A pixel of the square covers that much of the picture: borders may differ by it, and nothing else.
    reach_y, reach_x = np.ceil(height / (box.bottom - box.top)), np.ceil(width / (box.right - box.left))
    rows = np.minimum(*(np.abs(np.arange(height) + 0.5 - at) for at in (height // 4, 3 * height // 4))) > reach_y
    columns = np.abs(np.arange(width) + 0.5 - width // 2) > reach_x
    inner = rows[:, None] & columns
    assert inner.any()
    np.testing.assert_array_equal(found[inner], ids[inner])
    assert (found.dtype, confidence.dtype) == (np.uint8, np.float32)


def test_stretched_borders_lie_to_the_pixel():
    probabilities = one_hot(np.repeat([[0, 0, 1, 1]], 4, 0), 2)
    ids, confidence = processing.upsample_argmax(probabilities, 20, 40, STRETCH)
    np.testing.assert_array_equal(ids, np.repeat([[0] * 20 + [1] * 20], 20, 0))
    assert confidence.min() == pytest.approx(0.55)
    padded, _ = processing.upsample_argmax(probabilities, 20, 40, PAD_SQUARE)
    np.testing.assert_array_equal(padded, ids)  # the border stands in the middle of both squares


@EACH
def test_landmarks_go_where_their_pixels_go(rule):
    image = np.zeros((24, 48, 3), np.uint8)
    points = [[36, 6], [0, 24]]
    square = processing.to_square({"image": image, "landmarks": points}, SIDE, rule)
    expected = [[24, 8], [0, 32]] if rule == STRETCH else [[24, 12], [0, 24]]
    np.testing.assert_allclose(square["landmarks"], expected)
    assert square["landmarks"].dtype == np.float32
    assert (square["image"] == -1).all()
    assert "landmarks" not in processing.to_square({"image": image}, SIDE, rule)


@pytest.mark.parametrize("bad", [None, [1, 2], [[1, 2, 3]], [[1, np.nan]], [["a", "b"]]])
def test_landmarks_of_another_kind_are_refused(bad):
    with pytest.raises(UserError, match=r"landmarks must be finite numbers \[K, 2\]"):
        processing.to_square({"image": np.zeros((4, 4, 3), np.uint8), "landmarks": bad}, SIDE, STRETCH)


@EACH
def test_cleaned_pixels_get_the_probability_of_their_new_class(rule):
    probabilities = np.zeros((SIDE, SIDE, 3), np.float32)
    probabilities[..., 0], probabilities[..., 1] = 0.75, 0.25
    probabilities[10:12, 14:16] = 0.125, 0.25, 0.625
    ids, confidence = processing.upsample_argmax(probabilities, SIDE, SIDE, rule)
    assert (ids == 2).sum() == 4
    planes = processing.Planes(probabilities, SIDE, SIDE, rule)
    cleaned, of_cleaned = processing.remove_small_components(ids, confidence, planes, 5)
    assert (cleaned == 0).all()
    np.testing.assert_array_equal(of_cleaned, probabilities[..., 0])
    kept, of_kept = processing.remove_small_components(ids, confidence, planes, 4)
    np.testing.assert_array_equal(kept, ids)
    np.testing.assert_array_equal(of_kept, confidence)
