import numpy as np
import pytest
from skimage import measure

from input_pipeline.images.components import remove_islands
from input_pipeline.labels import IGNORE
from input_pipeline.synthetic import SyntheticSource

SIZE = 40
CLASSES = 19


def maps():
    rng = np.random.default_rng(0)
    face = SyntheticSource(count=1, size=SIZE, seed=0)[0]["mask"]
    specks = np.where(rng.random((SIZE, SIZE)) < 0.1, rng.integers(0, CLASSES, (SIZE, SIZE)), face)
    return {
        "face": face,
        "specks": specks,
        "ignored": np.where(rng.random((SIZE, SIZE)) < 0.3, IGNORE, specks),
        "noise": rng.integers(0, 3, (SIZE, SIZE)),
        "checkerboard": np.indices((SIZE, SIZE)).sum(axis=0) % 2,
        "all ignored": np.full((SIZE, SIZE), IGNORE),
    }


MAPS = {name: image.astype(np.uint8) for name, image in maps().items()}


def numbered(image):
    return measure.label(image.astype(int), background=IGNORE, connectivity=1)


def removed_by_hand(image, min_pixels):
    """The rule of `remove_islands`, component by component and pixel by pixel."""
    image, numbers = image.copy(), numbered(image)
    small = {n: np.argwhere(numbers == n) for n in range(1, numbers.max() + 1)}
    small = {n: pixels for n, pixels in small.items() if len(pixels) < min_pixels}
    while True:
        taken = {}
        for n, pixels in small.items():
            votes = np.zeros(CLASSES, int)
            for y, x in pixels:
                for u, v in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    if 0 <= u < image.shape[0] and 0 <= v < image.shape[1] and numbers[u, v] not in (0, *small):
                        votes[image[u, v]] += 1
            if votes.any():
                taken[n] = votes.argmax()
        if not taken:
            return image
        for n, k in taken.items():
            image[tuple(small.pop(n).T)] = k


@pytest.mark.parametrize("min_pixels", [0, 1, 2, 9, 60, 5000])
@pytest.mark.parametrize("name", MAPS)
def test_the_rule_by_hand(name, min_pixels):
    image = MAPS[name]
    before = image.copy()
    ours = remove_islands(image, min_pixels)
    np.testing.assert_array_equal(ours, removed_by_hand(image, min_pixels))
    assert ours.dtype == image.dtype
    np.testing.assert_array_equal(image, before)


def test_nothing_small_remains():
    assert np.bincount(numbered(MAPS["specks"]).ravel())[1:].min() == 1
    assert np.bincount(numbered(remove_islands(MAPS["specks"], 12)).ravel())[1:].min() >= 12


def test_an_island_takes_most_of_its_border_and_nesting_is_filled_from_outside():
    image = np.zeros((SIZE, SIZE), np.int32)
    image[:, 6:] = 1
    image[3:7, 5:9] = 2  # borders on 0 with 4 + 2 pairs, on 1 with 4 + 6
    image[4:6, 6:8] = 3
    expected = np.zeros((SIZE, SIZE), np.int32)
    expected[:, 6:] = 1
    expected[3:7, 5] = 1
    np.testing.assert_array_equal(remove_islands(image, 17), expected)


def test_what_ignored_pixels_cut_off_stays():
    image = np.zeros((SIZE, SIZE), np.int32)
    image[0, :2] = 1, IGNORE
    image[1, :2] = IGNORE
    np.testing.assert_array_equal(remove_islands(image, 2), image)


def test_oblong_pictures():
    image = np.zeros((5, 200), np.int32)
    image[2, 10:14] = 7
    image[1:4, 50:60] = 3
    image[2, 55] = 4  # inside an island that goes: it follows
    expected = np.zeros_like(image)
    np.testing.assert_array_equal(remove_islands(image, 31), expected)
    expected[1:4, 50:60] = 3
    np.testing.assert_array_equal(remove_islands(image, 29), expected)
