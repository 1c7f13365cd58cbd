import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.images.geometry import crop, fit_square, flip, resize, shrink, square_matrix, warp
from input_pipeline.images.resize_rules import PAD_SQUARE
from input_pipeline.labels import CELEBAMASK, IGNORE
from l2s_jax.inference import processing
from tests.helpers.dots import assert_dot_at, assert_together, dot_face, five_dots


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (24, 32, 3), dtype=np.uint8),
        "mask": rng.integers(0, 19, (24, 32), dtype=np.uint8),
        "landmarks": rng.uniform(0, 24, (68, 2)).astype(np.float32),
    }


def test_flip_moves_image_mask_and_landmarks_alike():
    flipped = flip(dot_face(40, 60, 17.3, 11.8), CELEBAMASK)
    assert_dot_at(flipped, [60 - 17.3, 11.8], class_id=CELEBAMASK["r_eye"])


def test_flip_twice_is_nothing(noise):
    again = flip(flip(noise, CELEBAMASK), CELEBAMASK)
    for key in noise:
        np.testing.assert_allclose(again[key], noise[key], atol=1e-5)


def test_flip_exchanges_left_and_right_landmarks():
    points = np.zeros((68, 2), np.float32)
    left_side_of_image = {"jaw": 0, "brow": 17, "eye corner": 36, "upper lid": 37, "lower lid": 41, "mouth": 48}
    partners = {"jaw": 16, "brow": 26, "eye corner": 45, "upper lid": 44, "lower lid": 46, "mouth": 54}
    for y, name in enumerate(left_side_of_image):
        points[left_side_of_image[name]] = 10, y
        points[partners[name]] = 25, y
    flipped = flip({"image": np.zeros((9, 40, 3), np.uint8), "landmarks": points}, CELEBAMASK)["landmarks"]
    for y, name in enumerate(left_side_of_image):
        np.testing.assert_array_equal(flipped[left_side_of_image[name]], [15, y])
        np.testing.assert_array_equal(flipped[partners[name]], [30, y])


def test_flip_of_an_unknown_landmark_order_is_refused(noise):
    with pytest.raises(UserError, match="faces of 7 landmarks cannot be mirrored"):
        flip({**noise, "landmarks": noise["landmarks"][:7]}, CELEBAMASK)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (80, 60), (100, 100), (40, 60)])
def test_resize_scales_everything_about_the_corner(height, width):
    resized = resize(dot_face(40, 60, 31.2, 18.4), height, width)
    assert resized["image"].shape == (height, width, 3)
    assert_dot_at(resized, [31.2 * width / 60, 18.4 * height / 40])


def test_resize_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize({"image": stripes}, 16, 16)["image"]
    assert np.abs(small.astype(int) - 127.5).max() < 12


def test_resized_mask_takes_ids_at_pixel_centres():
    mask = np.arange(81, dtype=np.uint8).reshape(9, 9)
    small = resize({"image": np.zeros((9, 9, 3), np.uint8), "mask": mask}, 3, 3)["mask"]
    np.testing.assert_array_equal(small, mask[1::3, 1::3])


def test_resize_joins_an_image_and_a_mask_of_different_sizes():
    face = dot_face(80, 120, 60.4, 36.8)
    face["image"] = dot_face(40, 60, 30.2, 18.4, radius=3)["image"]
    face["landmarks"] = face["landmarks"] / 2
    assert_dot_at(resize(face, 40, 60), [30.2, 18.4])


def test_shrink_never_enlarges(noise):
    assert shrink(noise, 16)["image"].shape == (12, 16, 3)
    for key in noise:
        np.testing.assert_array_equal(shrink(noise, 100)[key], noise[key])


@pytest.mark.parametrize(("height", "width"), [(48, 48), (30, 60), (61, 40), (7, 90), (1, 300)])
def test_fit_square_is_what_the_parser_does(height, width):
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    square = fit_square({"image": image}, 24)["image"]
    parsed = processing.to_square({"image": image}, 24, PAD_SQUARE)["image"]
    np.testing.assert_array_equal((square.astype(np.float32) - 127.5) * np.float32(1 / 127.5), parsed)


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (64, 64)])
def test_fit_square_keeps_the_dot_and_ignores_the_margins(height, width):
    x, y = 0.55 * width, 0.4 * height
    square = fit_square(dot_face(height, width, x, y), 64)
    scale = 64 / max(height, width)
    offset = (64 - scale * np.array([width, height])) / 2
    assert_dot_at(square, scale * np.array([x, y]) + offset)
    assert (square["mask"] == IGNORE).sum() == 64 * 64 - round(scale * height) * round(scale * width)


def test_square_matrix_turns_clockwise_about_the_centre():
    matrix = square_matrix(100, 200, 50, degrees=90, scale=1, shift=(0, 0), shear=(0, 0))
    for point, expected in [((100, 50), (25, 25)), ((200, 50), (25, 50)), ((100, 0), (37.5, 25))]:
        np.testing.assert_allclose(matrix @ (*point, 1), expected, atol=1e-9)
    moved = square_matrix(100, 200, 50, degrees=0, scale=2, shift=(0.1, -0.2), shear=(0, 0))
    np.testing.assert_allclose(moved @ (100, 50, 1), [30, 15], atol=1e-9)
    np.testing.assert_allclose(moved[:, :2], np.eye(2) * 0.5)


@pytest.mark.parametrize("mask_scale", [1, 2])
@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [(0, 1, (0, 0)), (17, 1.1, (0.03, -0.08)), (-130, 0.9, (-0.1, 0.1)), (90, 1.25, (0, 0)), (5, 0.8, (0.1, 0.1))],
)
def test_warp_finds_the_dot_again(degrees, scale, shift, mask_scale):
    x, y, height, width, side = 61.3, 41.9, 96, 120, 112
    face = dot_face(height, width, x, y)
    face["mask"] = dot_face(*np.multiply(mask_scale, (height, width, x, y)), radius=6.0 * mask_scale)["mask"]
    matrix = square_matrix(height, width, side, degrees=degrees, scale=scale, shift=shift, shear=(0, 0))
    warped = warp(face, matrix, side, edge=True, mask_fill=IGNORE)
    assert warped["image"].shape == (side, side, 3)
    assert warped["landmarks"].dtype == np.float32
    assert_dot_at(warped, matrix @ (x, y, 1))
    np.testing.assert_array_equal(warped["attribute_factors"], [1, 2])


def test_warped_mask_takes_ids_at_pixel_centres(noise):
    matrix = square_matrix(24, 32, 40, degrees=33, scale=1.1, shift=(0.02, 0.05), shear=(0, 0))
    warped = warp(noise, matrix, 40, edge=True, mask_fill=IGNORE)["mask"]
    ys, xs = np.mgrid[:40, :40] + 0.5
    x, y = np.linalg.solve(matrix[:, :2], np.stack([xs.ravel(), ys.ravel()]) - matrix[:, 2:])
    inside = (x >= 0) & (x < 32) & (y >= 0) & (y < 24)
    expected = np.full(1600, IGNORE, np.uint8)
    expected[inside] = noise["mask"][y[inside].astype(int), x[inside].astype(int)]
    # Pillow steps in 1/65536 of a pixel: centres on the line between two pixels may fall to either side.
    decided = (np.abs(x - np.rint(x)) > 0.01) & (np.abs(y - np.rint(y)) > 0.01)
    assert decided.mean() > 0.9
    np.testing.assert_array_equal(warped.ravel()[decided], expected[decided])


def test_warp_by_nothing_is_exact(noise):
    matrix = square_matrix(24, 24, 24, degrees=0, scale=1, shift=(0, 0), shear=(0, 0))
    square = {"image": noise["image"][:, :24], "mask": noise["mask"][:, :24]}
    warped = warp(square, matrix, 24, edge=True, mask_fill=IGNORE)
    np.testing.assert_array_equal(warped["image"], square["image"])
    np.testing.assert_array_equal(warped["mask"], square["mask"])


@pytest.mark.parametrize("mask_fill", [IGNORE, 0])
def test_outside_of_the_photo(mask_fill):
    face = {"image": np.full((32, 32, 3), [200, 10, 60], np.uint8), "mask": np.full((32, 32), 13, np.uint8)}
    matrix = square_matrix(32, 32, 32, degrees=0, scale=0.5, shift=(0.25, 0.25), shear=(0, 0))
    inside = np.zeros((32, 32), bool)
    inside[16:, 16:] = True
    grey = warp(face, matrix, 32, edge=False, mask_fill=mask_fill)
    np.testing.assert_array_equal(grey["mask"], np.where(inside, 13, mask_fill))
    np.testing.assert_array_equal(grey["image"], np.where(inside[..., None], [200, 10, 60], 128))
    edge = warp(face, matrix, 32, edge=True, mask_fill=mask_fill)
    np.testing.assert_array_equal(edge["mask"], grey["mask"])
    np.testing.assert_array_equal(edge["image"], np.broadcast_to([200, 10, 60], (32, 32, 3)))


POINTS = [(41.3, 38.2), (75.8, 41.1), (58.9, 55.4), (46.7, 74.6), (70.2, 72.9)]


@pytest.mark.parametrize("mask_scale", [1, 2])
@pytest.mark.parametrize("shear", [(0.3, 0), (0, -0.25), (0.2, 0.15)])
def test_shear_moves_image_mask_and_landmarks_alike(shear, mask_scale):
    face = five_dots(96, 112, POINTS, mask_scale=mask_scale)
    matrix = square_matrix(96, 112, 128, degrees=-14, scale=0.95, shift=(0.02, -0.03), shear=shear)
    assert_together(warp(face, matrix, 128, edge=True, mask_fill=IGNORE), window=11)


def test_flip_moves_five_dots_alike():
    face = five_dots(96, 112, POINTS)
    flipped = flip(face, CELEBAMASK)
    assert_together(flipped, window=9)
    np.testing.assert_allclose(flipped["landmarks"][0], [112 - POINTS[1][0], POINTS[1][1]], rtol=1e-6)


def test_sheared_square_known_answer():
    matrix = square_matrix(100, 100, 100, degrees=0, scale=1, shift=(0, 0), shear=(0.5, 0.1))
    for point, expected in [((50, 50), (50, 50)), ((50, 60), (55, 60)), ((60, 50), (60, 51))]:
        np.testing.assert_allclose(matrix @ (*point, 1), expected, atol=1e-9)
    turned = square_matrix(100, 100, 100, degrees=90, scale=1, shift=(0, 0), shear=(0.5, 0))
    np.testing.assert_allclose(turned @ (50, 60, 1), [40, 55], atol=1e-9)  # sheared first, then turned


@pytest.mark.parametrize("reduction", [0.59, 0.3, 0.11])
def test_a_warp_that_reduces_does_not_alias(reduction):
    stripes = np.zeros((300, 300, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = square_matrix(300, 300, 300, degrees=3, scale=reduction, shift=(0, 0), shear=(0, 0))
    small = warp({"image": stripes}, matrix, 300, edge=True, mask_fill=IGNORE)["image"]
    inside = slice(150 - int(140 * reduction), 150 + int(140 * reduction))
    assert np.abs(small[inside, inside].astype(int) - 127.5).max() < 25


@pytest.mark.parametrize("scale", [0.59, 0.25, 0.13])
def test_a_warp_that_reduces_keeps_places(scale):
    points = 4 * np.array(POINTS)
    face = five_dots(4 * 96, 4 * 112, points, radius=16)
    matrix = square_matrix(4 * 96, 4 * 112, 448, degrees=20, scale=scale, shift=(0.1, -0.05), shear=(0.1, 0))
    warped = warp(face, matrix, 448, edge=True, mask_fill=IGNORE)
    assert_together(warped, window=50 * scale)


def test_border_is_repeated_however_far_out_it_is():
    """A strip of one pixel: padding it would take as many rows as the square has, times the reduction."""
    strip = np.zeros((1, 4000, 3), np.uint8)
    strip[:, 2000:] = [255, 80, 10]
    matrix = square_matrix(1, 4000, 40, degrees=0, scale=1, shift=(0, 0), shear=(0, 0))
    image = warp({"image": strip}, matrix, 40, edge=True, mask_fill=IGNORE)["image"]
    np.testing.assert_array_equal(image[:, :19], np.zeros((40, 19, 3)))
    np.testing.assert_array_equal(image[:, 21:], np.broadcast_to([255, 80, 10], (40, 19, 3)))


@pytest.mark.parametrize(("left", "top", "side"), [(3, 5, 12), (-4, 2, 20), (20, 15, 30), (-9, -9, 60), (100, 0, 4)])
def test_crop_copies_pixels_repeats_borders_and_ignores(noise, left, top, side):
    cropped = crop(noise, left, top, side)
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    expected = noise["image"][np.ix_(rows.clip(0, 23), columns.clip(0, 31))]
    np.testing.assert_array_equal(cropped["image"], expected)
    inside = ((rows >= 0) & (rows < 24))[:, None] & ((columns >= 0) & (columns < 32))
    ids = noise["mask"][np.ix_(rows.clip(0, 23), columns.clip(0, 31))]
    np.testing.assert_array_equal(cropped["mask"], np.where(inside, ids, IGNORE))
    np.testing.assert_allclose(cropped["landmarks"], noise["landmarks"] - np.float32([left, top]))


def test_crop_of_everything_is_nothing(noise):
    square = {"image": noise["image"][:, :24], "mask": noise["mask"][:, :24], "landmarks": noise["landmarks"]}
    cropped = crop(square, 0.3, -0.4, 24.2)
    for key in square:
        np.testing.assert_array_equal(cropped[key], square[key])


@pytest.mark.parametrize("larger", ["image", "mask", "neither"])
@pytest.mark.parametrize(("left", "top", "side"), [(31.4, 25.2, 58.7), (20.9, 30.6, 91.1), (-13.3, -2.8, 101.5)])
def test_crop_of_an_image_and_a_mask_of_different_sizes(larger, left, top, side):
    face = five_dots(96, 112, POINTS, mask_scale=2 if larger == "mask" else 1)
    if larger == "image":
        face = {**five_dots(192, 224, 2 * np.array(POINTS), radius=8), "mask": face["mask"]}
        left, top, side = 2 * left, 2 * top, 2 * side
    cropped = crop(face, left, top, side)
    assert cropped["image"].shape[0] == cropped["image"].shape[1]
    assert cropped["image"].shape[0] * cropped["mask"].shape[1] == cropped["mask"].shape[0] * cropped["image"].shape[1]
    assert_together(cropped, window=18 if larger == "image" else 9, image_tolerance=0.15, mask_tolerance=0.5)


def test_crop_of_a_reduced_image_that_divides_the_mask_unevenly():
    """A JPEG of 250 px decoded at 1/8 has 32 px, not 31.25: the views agree to within a pixel of the mask."""
    face = five_dots(250, 250, [(120 + 4 * x, 100 + 4 * y) for x, y in [(0, 0), (20, 1), (9, 9), (2, 20), (17, 20)]], 9)
    small = resize({"image": face["image"]}, 32, 32)["image"]
    cropped = crop({**face, "image": small, "landmarks": face["landmarks"] * np.float32(32 / 250)}, 9.6, 7.7, 18.3)
    assert cropped["image"].shape == (18, 18, 3)
    assert cropped["mask"].shape == (141, 141)
    assert_together(cropped, window=3, image_tolerance=0.15, mask_tolerance=0.1)
