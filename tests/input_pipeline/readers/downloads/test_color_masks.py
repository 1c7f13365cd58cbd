import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, FASSEG, remap
from input_pipeline.readers.downloads.color_masks import class_ids
from input_pipeline.readers.downloads.fasseg import COLORS, PALETTE
from input_pipeline.synthetic import render

SMOOTHINGS = {"box": Image.BOX, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS, "jpeg": Image.BOX}
FACTOR, SIZE = 4, 160


@pytest.fixture(scope="module")
def drawings():
    """[(ids at FACTOR times the size, ids at the size: of the class that covers most of a pixel)]."""
    drawings = []
    for index in range(3):
        fine = remap(CELEBAMASK, FASSEG)[render(1, index, FACTOR * SIZE)["mask"]]
        blocks = fine.reshape(SIZE, FACTOR, SIZE, FACTOR)
        cover = [(blocks == k).mean(axis=(1, 3)) for k in range(len(FASSEG))]
        drawings.append((fine, np.argmax(cover, axis=0)))
    return drawings


def smooth(fine, how):
    """uint8 [SIZE, SIZE, 3], a coloured drawing made smaller."""
    small = Image.fromarray(np.array(PALETTE, np.uint8)[fine]).resize((SIZE, SIZE), SMOOTHINGS[how])
    if how != "jpeg":
        return np.asarray(small)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def nearest_color(image):
    return ((image[:, :, None].astype(int) - np.array(PALETTE)) ** 2).sum(axis=-1).argmin(axis=-1)


def ring(ids, truth):
    """Pixels of background where there is none within a pixel."""
    return np.count_nonzero((ids == 0) & ~ndimage.binary_dilation(truth == 0, np.ones((3, 3))))


@pytest.mark.parametrize("how", SMOOTHINGS)
def test_smoothed_borders_are_cleaned(drawings, how):
    for fine, truth in drawings:
        ids = class_ids(smooth(fine, how), PALETTE, "a.bmp")
        border = ndimage.grey_dilation(truth, (3, 3)) != ndimage.grey_erosion(truth, (3, 3))
        assert ids.dtype == np.uint8
        assert np.mean(ids == truth) > 0.99
        # JPEG keeps colours at half the size: of a part two pixels thin nothing may be left.
        assert np.mean((ids != truth) & ~border) <= (1e-3 if how == "jpeg" else 0)
        assert ring(ids, truth) == 0


def test_nearest_colours_draw_the_ring_that_is_cleaned(drawings):
    rings = [ring(nearest_color(smooth(fine, "jpeg")), truth) for fine, truth in drawings]
    assert min(rings) > 0


def test_pure_colours_come_back_exactly():
    ids = np.random.default_rng(0).integers(0, len(PALETTE), (40, 30)).astype(np.uint8)
    np.testing.assert_array_equal(class_ids(np.array(PALETTE, np.uint8)[ids], PALETTE, "a.bmp"), ids)


@pytest.mark.parametrize("noise", [0, 3])
def test_mixture_of_skin_and_hair_is_never_background(noise):
    """Halfway between them red, the background, is as near as either; a little noise makes it the nearest."""
    skin, hair = np.array(COLORS["skin"], float), np.array(COLORS["hair"], float)
    for part in np.linspace(0, 1, 100):
        image = np.empty((3, 7, 3), np.uint8)
        image[:, :3], image[:, 4:] = skin, hair
        image[:, 3] = np.minimum(np.round(skin + part * (hair - skin)) + np.array([noise, 0, 0]), 255)
        ids = class_ids(image, PALETTE, "a.bmp")
        wanted = FASSEG["hair" if part > 0.5 else "skin"]
        assert (ids[:, 3] == wanted).all() or (noise and abs(part - 0.5) < 0.02 and (ids != 0).all())
    assert nearest_color(np.array([[[194, 127, 0]]])) == FASSEG["background"]


def test_classes_that_explain_a_mixture_are_beside_it():
    """Grey is halfway from eyes to skin, and from nose to background: what lies beside it decides."""
    for a, b in (("eyes", "skin"), ("nose", "background")):
        image = np.empty((5, 5, 3), np.uint8)
        image[:, :2], image[:, 2], image[:, 3:] = COLORS[a], (120, 127, 127), COLORS[b]
        assert set(np.unique(class_ids(image, PALETTE, "a.bmp"))) == {FASSEG[a], FASSEG[b]}


@pytest.mark.parametrize("color", [(255, 0, 255), (255, 127, 0), (0, 0, 0), (255, 255, 255)])
def test_region_of_no_class(color):
    image = np.zeros((20, 20, 3), np.uint8)
    image[:] = COLORS["skin"]
    image[3:15, 4:17] = color
    with pytest.raises(UserError, match=r"'a\.bmp' has the colour .* at x 8, y 7, which stands for no class"):
        class_ids(image, PALETTE, "a.bmp")
    image[:] = color
    with pytest.raises(UserError, match="at x 0, y 0"):
        class_ids(image, PALETTE, "a.bmp")
