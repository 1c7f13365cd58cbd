import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from input_pipeline.audit.duplicates import LIMIT, colour_difference, colours, copies, near_pairs, perceptual_hash
from input_pipeline.audit.scan import measure_face
from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic import SyntheticSource


@pytest.fixture(scope="module")
def photos():
    """60 different faces of 128 pixels."""
    source = SyntheticSource(60, 128, seed=5)
    return [source[k]["image"] for k in range(len(source))]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


CHANGES = {  # what a copy went through: (change, is it mirrored)
    "jpeg 50": (lambda x: jpeg(x, 50), False),
    "smaller": (lambda x: x.resize((47, 47), Image.Resampling.LANCZOS), False),
    "darker": (lambda x: ImageEnhance.Brightness(x).enhance(0.75), False),
    "one pixel cut off": (lambda x: x.crop((1, 0, x.width, x.height - 1)), False),
    "grey": (lambda x: x.convert("L").convert("RGB"), False),
    "mirrored, jpeg 50": (lambda x: jpeg(x.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 50), True),
}


def stats(images) -> np.ndarray:
    return np.stack([measure_face({"image": image}, CELEBAMASK) for image in images])


@pytest.mark.parametrize("change", CHANGES)
def test_every_changed_copy_is_found_and_no_other_pair(photos, change):
    alter, mirrored = CHANGES[change]
    changed = [np.asarray(alter(Image.fromarray(photo))) for photo in photos]
    found = copies(stats([*photos, *changed]), np.repeat([0, 1], len(photos)))
    assert [(copy.index - len(photos), copy.of) for copy in found] == [(k, k) for k in range(len(photos))]
    assert all(copy.mirrored == mirrored and not copy.same and 0 <= copy.distance <= LIMIT for copy in found)


def test_equal_pixels_are_told_from_near_ones(photos):
    rows = stats([photos[0], photos[1], photos[0], photos[1] ^ 1, photos[0]])
    found = {(copy.index, copy.of): copy.same for copy in copies(rows, np.array([0, 0, 0, 0, 1]))}
    assert found == {(2, 0): True, (4, 0): True, (3, 1): False}


def test_the_nearest_copy_of_every_earlier_split_is_named(photos):
    photo = Image.fromarray(photos[1])
    cut = [np.asarray(photo.crop((k, 0, photo.width, photo.height - k))) for k in (1, 2)]
    rows = stats([photos[1], cut[1], photos[2], cut[0], np.asarray(photo.crop((1, 1, 128, 128)))])
    assert len(np.unique(rows["hash"], axis=0)) == len(rows)
    found = [(copy.index, copy.of) for copy in copies(rows, np.array([0, 0, 0, 1, 2]))]
    assert found == [(1, 0), (3, 0), (4, 0), (4, 3)]


def test_equal_pictures_in_three_splits_name_a_partner_in_each_earlier_split(photos):
    rows = stats([photos[0], photos[1], photos[0], photos[0], photos[0]])
    found = [(copy.index, copy.of, copy.same) for copy in copies(rows, np.array([0, 0, 1, 1, 2]))]
    assert found == [(2, 0, True), (3, 0, True), (3, 2, True), (4, 0, True), (4, 2, True)]


def test_equal_hashes_do_not_hide_a_copy_in_another_split(photos):
    """The first face has the hash of all others but other colours; the second and the last are one picture."""
    rows = stats([photos[0], photos[1], photos[1] ^ 1])
    rows["hash"], rows["mirrored_hash"] = rows["hash"][0], rows["mirrored_hash"][0]
    rows["colours"][0] = 100
    assert [(copy.index, copy.of) for copy in copies(rows, np.array([0, 1, 2]))] == [(2, 1)]
    near = rows.copy()
    near["hash"][2, 0] ^= 1  # no longer equal, but near
    assert [(copy.index, copy.of) for copy in copies(near, np.array([0, 1, 2]))] == [(2, 1)]
    assert [(copy.index, copy.of) for copy in copies(near[[1, 0, 2]], np.array([0, 1, 2]))] == [(2, 0)]


def test_a_picture_that_occurs_often_is_reported_as_often(photos):
    rows = stats([photos[0]])[np.zeros(2000, int)]
    assert len(copies(rows, np.zeros(2000, int))) == 1999


def test_hash_of_a_plain_picture_has_no_noise():
    assert all((perceptual_hash(np.full((40, 30, 3), value, np.uint8)) == 0).all() for value in (0, 7, 200, 255))


def test_hash_takes_pictures_of_any_size():
    assert perceptual_hash(np.zeros((1, 1, 3), np.uint8)).shape == (2,)
    assert perceptual_hash(np.zeros((3, 500, 3), np.uint8)).dtype == np.uint64


def test_colour_difference_by_hand():
    red, green = np.zeros((2, 1, 4, 4, 2))
    red[..., 0], green[..., 0] = 60, -30
    assert colour_difference(red, 0.75 * red) == 0  # only darker
    assert colour_difference(red, red / 3) == pytest.approx(np.sqrt((60 - 1.7 * 20) ** 2 / 2))  # too much darker
    assert colour_difference(red, green) == pytest.approx(np.sqrt((60 + 30) ** 2 / 2))
    assert colour_difference(green, red) == colour_difference(red, green)
    assert colour_difference(red, np.zeros_like(red)) == 0  # a grey copy


def test_colours_leave_the_brightness_out():
    assert (colours(np.full((9, 7, 3), 130, np.uint8)) == 0).all()
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, 4:] = (100, 0, 0)
    expected = np.zeros((4, 4, 2))
    expected[:, 2:] = [round(100 - 29.9), -round(29.9)]
    assert (colours(halves) == expected).all()


@pytest.mark.parametrize("limit", [0, 1, 9, 15])
def test_search_finds_exactly_the_pairs_of_brute_force(limit):
    rng = np.random.default_rng(limit)
    first = rng.integers(0, 2**64, (150, 2), dtype=np.uint64)
    second = np.repeat(first, 2, axis=0)
    for row in second:  # flip 0..24 bits anywhere
        for bit in rng.choice(128, rng.integers(0, 25), replace=False):
            row[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    distance = np.bitwise_count(first[:, None] ^ second[None]).sum(axis=-1)
    i, j = np.nonzero(distance <= limit)
    assert len(i) > 0
    np.testing.assert_array_equal(near_pairs(first, second, limit), np.stack([i, j, distance[i, j]], axis=1))


def test_search_of_nothing():
    assert near_pairs(np.zeros((0, 2), np.uint64), np.zeros((0, 2), np.uint64), 3).shape == (0, 3)
