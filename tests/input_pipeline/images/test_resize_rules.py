import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.images import resize_rules
from input_pipeline.images.resize_rules import PAD_SQUARE, PAD_SQUARE_BICUBIC, RULES, STRETCH
from input_pipeline.labels import IGNORE
from tests.helpers.dots import assert_dot_at, dot_face

SHAPES = [(40, 80), (80, 40), (64, 64), (33, 90)]


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (30, 48, 3), np.uint8),
        "mask": rng.integers(0, 19, (60, 96), np.uint8),  # masks of another size than the image, as CelebAMask-HQ's
    }


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 30), (27, 64)])
def test_padding_bicubically_shows_what_a_thumbnail_does(height, width):
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    square = PAD_SQUARE_BICUBIC.fit({"image": noise}, 24)["image"]
    thumbnail = Image.fromarray(noise)
    thumbnail.thumbnail((24, 24))
    left, top, right, bottom = PAD_SQUARE_BICUBIC.box(height, width, 24)
    np.testing.assert_array_equal(square[top:bottom, left:right], np.asarray(thumbnail))
    assert square.shape == (24, 24, 3)


@pytest.mark.parametrize("side", [24, 64])
def test_stretching_is_what_the_published_code_does(noise, side):
    square = STRETCH.fit(noise, side)
    image = Image.fromarray(noise["image"]).resize((side, side), Image.Resampling.BICUBIC)
    mask = Image.fromarray(noise["mask"]).resize((side, side), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(square["image"], np.asarray(image))
    np.testing.assert_array_equal(square["mask"], np.asarray(mask))


def test_a_picture_twice_as_wide_loses_every_other_column():
    ramp = np.broadcast_to((4 * np.arange(32, dtype=np.uint8) + 2)[None, :, None], (16, 32, 3))  # 4 x at centres x + .5
    ids = np.broadcast_to(np.arange(32, dtype=np.uint8)[None], (16, 32))
    square = STRETCH.fit({"image": ramp, "mask": ids, "landmarks": np.float32([[8, 4]])}, 16)
    # The centre of column i lies at 2 i + 1 of the ramp, which the kernel keeps; beyond its border it is cut.
    expected = np.broadcast_to((8 * np.arange(16) + 4)[None, :, None], (16, 16, 3))
    np.testing.assert_array_equal(square["image"][:, 2:-2], expected[:, 2:-2])
    np.testing.assert_array_equal(square["mask"], ids[:, 1::2])
    np.testing.assert_array_equal(square["landmarks"], [[4, 4]])


@pytest.mark.parametrize("side", [32, 96])
def test_square_pictures_differ_by_the_kernel_alone(side):
    face = dot_face(64, 64, 40.4, 20.8, radius=16)
    padded, bicubic, stretched = (rule.fit(face, side) for rule in RULES.values())
    for name, value in bicubic.items():
        np.testing.assert_array_equal(value, stretched[name])
    np.testing.assert_array_equal(padded["mask"], stretched["mask"])
    np.testing.assert_array_equal(padded["landmarks"], stretched["landmarks"])
    assert 0 < np.abs(padded["image"].astype(int) - stretched["image"]).max() < 8
    for rule in RULES.values():
        np.testing.assert_array_equal(rule.fit(face, 64)["image"], face["image"])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_everything_moves_into_the_box(rule, height, width):
    at = 0.55 * width, 0.4 * height
    square = rule.fit(dot_face(height, width, *at), 64)
    assert (square["image"].shape, square["mask"].shape) == ((64, 64, 3), (64, 64))
    box = rule.box(height, width, 64)
    assert_dot_at(square, (box.left + 0.55 * (box.right - box.left), box.top + 0.4 * (box.bottom - box.top)))
    outside = np.ones((64, 64), bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    np.testing.assert_array_equal(square["mask"] == IGNORE, outside)


def test_rules_are_found_by_name():
    names = ("pad-square-bilinear", "pad-square-bicubic", "stretch-bicubic")
    assert [resize_rules.find(name) for name in names] == [PAD_SQUARE, PAD_SQUARE_BICUBIC, STRETCH]
    with pytest.raises(UserError, match=r"unknown resize rule 'stretch' \(did you mean 'stretch-bicubic'\?"):
        resize_rules.find("stretch")
