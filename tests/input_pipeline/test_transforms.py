import dataclasses

import numpy as np
import pytest

from input_pipeline.augment import Augment, color_matrix, random_view
from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, IGNORE
from input_pipeline.transforms import fit_square, flip, resize, shrink, square_matrix, warp
from l2s_jax import preprocess

DOT = CELEBAMASK["l_eye"]


def dot_face(height, width, x, y, radius=6.0):
    """A bright round dot on black; the same dot in the mask; a landmark in its centre."""
    xs, ys = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    distance2 = (xs - x) ** 2 + (ys - y) ** 2
    image = np.repeat((250 * np.exp(-distance2 / (2 * (radius / 2) ** 2)))[..., None], 3, axis=-1)
    mask = np.where(distance2 < radius**2, DOT, 0)
    return {
        "image": np.rint(image).astype(np.uint8),
        "mask": mask.astype(np.uint8),
        "landmarks": np.full((5, 2), [x, y], np.float32),
        "attributes": np.float32([1, 2]),
    }


def centroid(weights):
    """(x, y) with pixel centres at .5."""
    weights = weights.astype(float)
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return np.array([(weights * xs).sum(), (weights * ys).sum()]) / weights.sum()


def assert_dot_at(example, xy, class_id=DOT, image_tolerance=0.05, mask_tolerance=0.35):
    np.testing.assert_allclose(centroid(example["image"][..., 0]), xy, atol=image_tolerance)
    np.testing.assert_allclose(centroid(example["mask"] == class_id), xy, atol=mask_tolerance)
    np.testing.assert_allclose(example["landmarks"], np.broadcast_to(xy, example["landmarks"].shape), atol=1e-3)


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
    np.testing.assert_array_equal(square.astype(np.float32) / 127.5 - 1, preprocess.to_square(image, 24))


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (64, 64)])
def test_fit_square_keeps_the_dot_and_ignores_the_margins(height, width):
    x, y = 0.55 * width, 0.4 * height
    square = fit_square(dot_face(height, width, x, y), 64)
    scale = 64 / max(height, width)
    offset = (64 - scale * np.array([width, height])) / 2
    assert_dot_at(square, scale * np.array([x, y]) + offset)
    assert (square["mask"] == IGNORE).sum() == 64 * 64 - round(scale * height) * round(scale * width)


def test_square_matrix_turns_clockwise_about_the_centre():
    matrix = square_matrix(100, 200, 50, degrees=90, scale=1, shift=(0, 0))
    for point, expected in [((100, 50), (25, 25)), ((200, 50), (25, 50)), ((100, 0), (37.5, 25))]:
        np.testing.assert_allclose(matrix @ (*point, 1), expected, atol=1e-9)
    moved = square_matrix(100, 200, 50, degrees=0, scale=2, shift=(0.1, -0.2))
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
    matrix = square_matrix(height, width, side, degrees=degrees, scale=scale, shift=shift)
    warped = warp(face, matrix, side, edge=True, mask_fill=IGNORE)
    assert warped["image"].shape == (side, side, 3)
    assert warped["landmarks"].dtype == np.float32
    assert_dot_at(warped, matrix @ (x, y, 1))
    np.testing.assert_array_equal(warped["attributes"], [1, 2])


def test_warped_mask_takes_ids_at_pixel_centres(noise):
    matrix = square_matrix(24, 32, 40, degrees=33, scale=1.1, shift=(0.02, 0.05))
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
    matrix = square_matrix(24, 24, 24, degrees=0, scale=1, shift=(0, 0))
    square = {"image": noise["image"][:, :24], "mask": noise["mask"][:, :24]}
    warped = warp(square, matrix, 24, edge=True, mask_fill=IGNORE)
    np.testing.assert_array_equal(warped["image"], square["image"])
    np.testing.assert_array_equal(warped["mask"], square["mask"])


@pytest.mark.parametrize("mask_fill", [IGNORE, 0])
def test_outside_of_the_photo(mask_fill):
    face = {"image": np.full((32, 32, 3), [200, 10, 60], np.uint8), "mask": np.full((32, 32), 13, np.uint8)}
    matrix = square_matrix(32, 32, 32, degrees=0, scale=0.5, shift=(0.25, 0.25))
    inside = np.zeros((32, 32), bool)
    inside[16:, 16:] = True
    grey = warp(face, matrix, 32, edge=False, mask_fill=mask_fill)
    np.testing.assert_array_equal(grey["mask"], np.where(inside, 13, mask_fill))
    np.testing.assert_array_equal(grey["image"], np.where(inside[..., None], [200, 10, 60], 128))
    edge = warp(face, matrix, 32, edge=True, mask_fill=mask_fill)
    np.testing.assert_array_equal(edge["mask"], grey["mask"])
    np.testing.assert_array_equal(edge["image"], np.broadcast_to([200, 10, 60], (32, 32, 3)))


@pytest.mark.parametrize("seed", range(6))
def test_random_view_moves_image_mask_and_landmarks_alike(seed):
    """The landmark tells where the dot went, mirrored or not; image and mask must agree."""
    face = dot_face(128, 128, 75.2, 58.6, radius=8)
    moves = dataclasses.replace(Augment.none(), flip=0.5, rotate=30.0, scale_min=0.8, scale_max=1.2, shift=0.1)
    view = random_view(face, moves, CELEBAMASK, 112, np.random.default_rng(seed))
    ids = set(np.unique(view["mask"])) - {0, IGNORE}
    assert len(ids) == 1
    assert_dot_at(view, view["landmarks"][0], class_id=ids.pop(), image_tolerance=0.1)


def test_random_view_mirrors_half_of_the_faces():
    face = dot_face(32, 32, 8, 16)
    mirrored = dataclasses.replace(Augment.none(), flip=0.5)
    rng = np.random.default_rng(0)
    right = [CELEBAMASK["r_eye"] in random_view(face, mirrored, CELEBAMASK, 32, rng)["mask"] for _ in range(200)]
    assert 75 < sum(right) < 125


def test_random_view_without_changes_is_the_fitted_face():
    face = dot_face(64, 64, 30, 20)
    view = random_view(face, Augment.none(), CELEBAMASK, 64, np.random.default_rng(0))
    for key in ("image", "mask", "landmarks"):
        np.testing.assert_array_equal(view[key], fit_square(face, 64)[key])


def test_random_view_depends_on_the_generator_alone(noise):
    strong = Augment(blur=0.5, jpeg=0.5, noise=0.5, grey=0.5)
    one, same = (
        [random_view(noise, strong, CELEBAMASK, 24, np.random.default_rng(seed)) for seed in range(12)]
        for _ in range(2)
    )
    for key in noise:
        np.testing.assert_array_equal([view[key] for view in one], [view[key] for view in same])
        assert len({view[key].tobytes() for view in one}) == 12


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("ignore_outside", [True, False])
def test_random_view_fills_the_outside_as_asked(edge, ignore_outside):
    face = {"image": np.full((32, 32, 3), 255, np.uint8), "mask": np.full((32, 32), 13, np.uint8)}
    small = {"scale_min": 0.5, "scale_max": 0.5, "edge": edge, "ignore_outside": ignore_outside}
    view = random_view(face, dataclasses.replace(Augment.none(), **small), CELEBAMASK, 32, np.random.default_rng(0))
    assert view["mask"][0, 0] == (IGNORE if ignore_outside else 0)
    np.testing.assert_array_equal(view["image"][0, 0], 255 if edge else 128)
    assert view["mask"][16, 16] == 13


@pytest.mark.parametrize("field", ["brightness", "contrast", "saturation", "tint", "grey", "blur", "jpeg", "noise"])
def test_every_color_change_changes_pixels_and_no_labels(noise, field):
    changed = dataclasses.replace(Augment.none(), **{field: 1.0 if field in ("grey", "blur", "jpeg", "noise") else 0.3})
    square = {"image": noise["image"][:, :24], "mask": noise["mask"][:, :24]}
    view = random_view(square, changed, CELEBAMASK, 24, np.random.default_rng(1))
    assert np.abs(view["image"].astype(int) - square["image"]).mean() > 1
    np.testing.assert_array_equal(view["mask"], square["mask"])


def test_color_matrix_known_answers():
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "tint": np.ones(3)}
    pixel = np.array([100.0, 50.0, 200.0, 1.0])
    np.testing.assert_allclose(color_matrix(90.0, **neutral) @ pixel, pixel[:3])
    np.testing.assert_allclose(color_matrix(90.0, **neutral | {"brightness": 1.1}) @ pixel, [110, 55, 220])
    np.testing.assert_allclose(color_matrix(90.0, **neutral | {"contrast": 0.5}) @ pixel, [95, 70, 145])
    grey = 0.299 * 100 + 0.587 * 50 + 0.114 * 200
    np.testing.assert_allclose(color_matrix(90.0, **neutral | {"saturation": 0.0}) @ pixel, [grey] * 3)
    np.testing.assert_allclose(color_matrix(90.0, **neutral | {"tint": np.array([1, 2, 0.5])}) @ pixel, [100, 100, 100])


def test_augment_from_a_config():
    assert Augment.from_dict({}) == Augment()
    assert Augment.from_dict({"flip": 0, "rotate": 5}) == dataclasses.replace(Augment(), flip=0, rotate=5)
    with pytest.raises(UserError, match="unknown augmentation 'rotat': did you mean 'rotate'"):
        Augment.from_dict({"rotat": 5})
    with pytest.raises(UserError, match="unknown augmentation 'zzz': there are: flip, rotate"):
        Augment.from_dict({"zzz": 5})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("flip", "0.5", "must be a float"),
        ("edge", 1, "must be a bool"),
        ("flip", True, "must be a float"),
        ("jpeg_quality", 50.5, "must be a int"),
        ("flip", 1.5, "goes from 0 to 1"),
        ("rotate", -3.0, "goes from 0 to 255"),
        ("noise_sigma", float("nan"), "goes from 0 to 255"),
        ("scale_min", 3.0, "goes from 0.1 to scale_max"),
        ("jpeg_quality", 0, "goes from 1 to 95"),
    ],
)
def test_augment_refuses_senseless_values(name, value, problem):
    with pytest.raises(UserError, match=f"augmentation '{name}' is .*{problem}"):
        Augment.from_dict({name: value})
