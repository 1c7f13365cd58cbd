import dataclasses

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment, color_matrix, random_view
from input_pipeline.images.geometry import fit_square
from input_pipeline.images.resize_rules import STRETCH
from input_pipeline.labels import CELEBAMASK, IGNORE
from tests.helpers.dots import assert_dot_at, assert_together, dot_face, five_dots

POINTS = [(41.3, 38.2), (75.8, 41.1), (58.9, 55.4), (46.7, 74.6), (70.2, 72.9)]


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (24, 32, 3), dtype=np.uint8),
        "mask": rng.integers(0, 19, (24, 32), dtype=np.uint8),
        "landmarks": rng.uniform(0, 24, (68, 2)).astype(np.float32),
    }


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


@pytest.mark.parametrize("fill", [0, 128, 255])
def test_outside_is_as_grey_as_asked(fill):
    face = {"image": np.full((32, 32, 3), 90, np.uint8), "mask": np.full((32, 32), 13, np.uint8)}
    small = dataclasses.replace(Augment.none(), scale_min=0.5, scale_max=0.5, edge=False, fill=fill)
    view = random_view(face, small, CELEBAMASK, 32, np.random.default_rng(0))
    np.testing.assert_array_equal(view["image"][:7], fill)
    np.testing.assert_array_equal(view["image"][10:22, 10:22], 90)


@pytest.mark.parametrize(("scale_log", "low_half"), [(True, np.log(2) / np.log(4)), (False, 1 / 3)])
def test_magnifications_are_drawn_evenly_as_asked(scale_log, low_half):
    """From 0.5 to 2: half of the logarithms lie below 1, and a third of the magnifications."""
    options = dataclasses.replace(Augment.none(), scale_min=0.5, scale_max=2.0, scale_log=scale_log)
    face, rng = {"image": np.zeros((8, 8, 3), np.uint8), "landmarks": np.float32([[8, 4]])}, np.random.default_rng(0)
    drawn = [random_view(face, options, CELEBAMASK, 8, rng)["landmarks"][0, 0] / 4 - 1 for _ in range(1000)]
    assert 0.5 <= min(drawn) < 0.55
    assert 1.9 < max(drawn) <= 2
    assert abs(np.mean(np.less(drawn, 1)) - low_half) < 0.05  # three standard deviations


@pytest.mark.parametrize("seed", range(3))
def test_a_stretched_view_is_stretched_after_its_changes(seed):
    """The changes happen in the photo, so that a turned circle becomes an ellipse along the square's axes."""
    moves = {"rotate": 40.0, "scale_min": 0.6, "scale_max": 0.7, "shift": 0.05}
    options = dataclasses.replace(Augment.none(), **moves)
    centre, angles = np.array([60, 40]), np.linspace(0, 2 * np.pi, 100)
    circle = centre + 20 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    face = {"image": np.zeros((80, 120, 3), np.uint8), "landmarks": circle.astype(np.float32)}
    ellipse = random_view(face, options, CELEBAMASK, 64, np.random.default_rng(seed), STRETCH)["landmarks"]
    half = np.ptp(ellipse, axis=0) / 2
    assert abs(half[1] / half[0] - 120 / 80) < 0.01
    dots = five_dots(80, 120, [(30.2, 20.1), (90.4, 22.3), (60.1, 40.2), (35.3, 60.4), (85.2, 59.1)])
    view = random_view(dots, options, CELEBAMASK, 160, np.random.default_rng(seed), STRETCH)
    assert_together(view, window=12)


def test_a_stretched_view_without_changes_shows_all_of_the_photo(noise):
    view = random_view(noise, Augment.none(), CELEBAMASK, 64, np.random.default_rng(0), STRETCH)
    fitted = STRETCH.fit(noise, 64)
    np.testing.assert_array_equal(view["mask"], fitted["mask"])
    np.testing.assert_allclose(view["landmarks"], fitted["landmarks"], atol=1e-4)
    assert IGNORE not in view["mask"]


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
    with pytest.raises(UserError, match=r"unknown augmentation 'rotat' \(did you mean 'rotate'"):
        Augment.from_dict({"rotat": 5})
    with pytest.raises(UserError, match=r"unknown augmentation 'zzz' \(there are: flip, rotate"):
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
        ("scale_log", 1, "must be a bool"),
        ("fill", 256, "goes from 0 to 255"),
        ("fill", 0.5, "must be a int"),
        ("scale_min", 3.0, "goes from 0.1 to scale_max"),
        ("jpeg_quality", 0, "goes from 1 to 95"),
        ("shear", 0.6, "goes from 0 to 0.5"),
        ("occlude", 1.5, "goes from 0 to 1"),
        ("occlude_size", 0.0, "goes from 0.01 to 1"),
        ("occlude_ignore", 0, "must be a bool"),
        ("occlude_hides", 1, "must be a bool"),
    ],
)
def test_augment_refuses_senseless_values(name, value, problem):
    with pytest.raises(UserError, match=f"augmentation '{name}' is .*{problem}"):
        Augment.from_dict({name: value})


@pytest.mark.parametrize("mask_scale", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_all_moves_at_once_keep_dots_together(seed, mask_scale):
    moves = {"flip": 0.5, "rotate": 25.0, "scale_min": 0.8, "scale_max": 1.15, "shift": 0.05, "shear": 0.15}
    options = dataclasses.replace(Augment.none(), **moves)
    face = five_dots(112, 112, POINTS, mask_scale=mask_scale)
    view = random_view(face, options, CELEBAMASK, 128, np.random.default_rng(seed))
    assert not np.allclose(view["landmarks"], face["landmarks"], atol=2)
    assert_together(view, window=10)


def test_younger_augmentations_draw_nothing_when_off(noise):
    """Saved configs do not know them, and their streams must stay what they were."""
    plain = Augment(blur=0.0, jpeg=0.0, noise=0.0)
    assert plain.shear == plain.occlude == 0
    rng, counted = np.random.default_rng(3), np.random.default_rng(3)
    random_view(noise, plain, CELEBAMASK, 24, rng)
    counted.random(1)  # mirror
    counted.random(4)  # turn, scale, shift
    counted.random(7)  # brightness, contrast, grey or saturation, tint
    counted.random(3)  # blur, noise, JPEG or not
    assert rng.bit_generator.state == counted.bit_generator.state
    for younger in ({"shear": 0.1}, {"occlude": 1.0}):
        other = np.random.default_rng(3)
        random_view(noise, dataclasses.replace(plain, **younger), CELEBAMASK, 24, other)
        assert other.bit_generator.state != counted.bit_generator.state


@pytest.mark.parametrize(
    ("choice", "label"), [({}, None), ({"occlude_ignore": True}, IGNORE), ({"occlude_hides": True}, 0)]
)
def test_occlusion_covers_the_image_and_what_the_mask_does_is_a_choice(choice, label):
    options = dataclasses.replace(Augment.none(), occlude=1.0, occlude_size=0.5, **choice)
    face = five_dots(112, 112, POINTS)
    view = random_view(face, options, CELEBAMASK, 112, np.random.default_rng(0))
    changed = (view["image"] != face["image"]).any(axis=-1)
    assert 0.02 < changed.mean() < 0.8
    hidden = view["mask"] != face["mask"]
    assert hidden.any() == (label is not None)
    assert (view["mask"][hidden] == label).all()
    np.testing.assert_array_equal(view["landmarks"], face["landmarks"])


def test_occlusion_happens_as_often_as_asked():
    options = dataclasses.replace(Augment.none(), occlude=0.3, occlude_size=0.6)
    face, rng = {"image": np.full((24, 24, 3), 9, np.uint8)}, np.random.default_rng(5)
    occluded = [(random_view(face, options, CELEBAMASK, 24, rng)["image"] != 9).any() for _ in range(300)]
    assert 60 < sum(occluded) < 120


def test_noise_is_normal_with_the_drawn_deviation():
    options = dataclasses.replace(Augment.none(), noise=1.0, noise_sigma=40.0)
    face, deviations = {"image": np.full((128, 128, 3), 128, np.uint8)}, []
    for seed in range(40):
        image = random_view(face, options, CELEBAMASK, 128, np.random.default_rng(seed))["image"].astype(float) - 128
        if image.std() > 5:  # finer noise is rounded to few levels
            z = image / image.std()
            assert abs(z.mean()) < 0.02
            np.testing.assert_allclose([(np.abs(z) < 1).mean(), (np.abs(z) < 2).mean()], [0.683, 0.954], atol=0.05)
        deviations.append(image.std())
    assert min(deviations) < 5
    assert 35 < max(deviations) < 41  # drawn uniformly from 0 to 40
    assert 16 < np.mean(deviations) < 24
