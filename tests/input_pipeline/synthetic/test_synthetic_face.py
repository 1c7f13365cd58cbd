"""Rendered faces: determinism, classes, sides, landmarks, factors, scales."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic import ATTRIBUTE_FACTORS, IDENTITY_FACTORS, render, sample_factors

COUNT = 100
PLAIN = {"occluder": 0.0, "glasses": 0.0, "hat": 0.0, "fringe": 0.0}


@pytest.fixture(scope="module")
def faces():
    return [render(7, index, 128) for index in range(COUNT)]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def area(faces, name):
    """Share of the picture, per face."""
    return np.array([(face["mask"] == CELEBAMASK[name]).mean() for face in faces])


def middle(mask, name):
    """Mean (x, y) of a class, or None."""
    points = np.argwhere(mask == CELEBAMASK[name])
    return points.mean(0)[::-1] + 0.5 if len(points) else None


@pytest.mark.parametrize(
    ("seed", "index", "expected"),
    [
        (0, 0, ["be79fd0f62303abf", "84bc6f547268ee20", "f10707050ba04f93", "e04d2978eef26603", "dbf9be8e7456127d"]),
        (12, 34, ["098908a5458f6d21", "beb0532ec6cc8995", "e34037913d6a14b1", "35aa7ffb91028602", "8b6151bc2cd0a5f1"]),
    ],
)
def test_known_answers(seed, index, expected):
    # The same on x86-64 with and without AVX: a change here means that every stream of faces has changed.
    assert [digest(value) for value in render(seed, index, 64).values()] == expected


def test_another_process_in_another_order_draws_the_same_bytes(faces):
    code = (
        "import hashlib, numpy as np\n"
        "from input_pipeline.synthetic import render\n"
        "np.random.seed(5)\n"
        "for i in (9, 3): print(*(hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest()[:16]"
        " for v in render(7, i, 128).values()))"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split() for line in lines] == [[digest(v) for v in faces[i].values()] for i in (9, 3)]


def test_shapes_and_types(faces):
    face = faces[0]
    assert {k: (v.shape, v.dtype.name) for k, v in face.items()} == {
        "image": ((128, 128, 3), "uint8"),
        "mask": ((128, 128), "uint8"),
        "landmarks": ((68, 2), "float32"),
        "identity_factors": ((len(IDENTITY_FACTORS),), "float32"),
        "attribute_factors": ((len(ATTRIBUTE_FACTORS),), "float32"),
    }
    assert all(face["image"].flags.c_contiguous for face in faces)
    assert len({digest(face["image"]) for face in faces}) == COUNT


def test_all_classes_occur_with_plausible_areas(faces):
    # Bounds on the mean share of the picture where a class is present; CelebAMask-HQ lies well inside.
    bounds = {
        "background": (0.2, 0.6), "skin": (0.15, 0.35), "nose": (0.008, 0.03), "eye_g": (0.01, 0.09),
        "l_eye": (0.001, 0.006), "r_eye": (0.001, 0.006), "l_brow": (0.0015, 0.008), "r_brow": (0.0015, 0.008),
        "l_ear": (0.001, 0.012), "r_ear": (0.001, 0.012), "mouth": (0.001, 0.015), "u_lip": (0.0015, 0.008),
        "l_lip": (0.002, 0.012), "hair": (0.1, 0.4), "hat": (0.05, 0.3), "ear_r": (0.0003, 0.012),
        "neck_l": (0.0005, 0.015), "neck": (0.008, 0.07), "cloth": (0.02, 0.15),
    }  # fmt: skip
    assert set(bounds) == set(CELEBAMASK.names)
    for name, (low, high) in bounds.items():
        shares = area(faces, name)
        assert low < shares[shares > 0].mean() < high, name


@pytest.fixture(scope="module")
def drawn():
    """float [3000, I + A] factors of a stream."""
    return np.array([f.identity + f.attributes for f in (sample_factors(11, index) for index in range(3000))])


def test_frequencies_of_what_people_wear(drawn):
    worn = dict(zip(IDENTITY_FACTORS + ATTRIBUTE_FACTORS, drawn.T > 0, strict=True))
    shares = {"hat": 0.07, "glasses": 0.08, "earrings": 0.25, "necklace": 0.08, "occluder": 0.08, "bald": 0.06}
    for name, share in shares.items():
        assert worn[name].mean() == pytest.approx(share, abs=0.02), name
    assert (worn["masculinity"] & worn["beard"] & ~worn["shaved"]).mean() == pytest.approx(0.2, abs=0.02)


def test_the_subjects_left_is_the_images_right(faces):
    seen = 0
    for face in faces:
        for part in ("eye", "brow"):
            left, right = middle(face["mask"], f"l_{part}"), middle(face["mask"], f"r_{part}")
            if left is not None and right is not None:
                assert left[0] > right[0] + 5
                seen += 1
    assert seen > 1.5 * COUNT


def test_lips_lie_under_the_nose_and_brows_over_the_eyes(faces):
    for face in faces:
        parts = {name: middle(face["mask"], name) for name in ("nose", "u_lip", "l_lip", "l_eye", "l_brow")}
        for upper, lower in (("nose", "u_lip"), ("u_lip", "l_lip"), ("l_brow", "l_eye")):
            if parts[upper] is not None and parts[lower] is not None:
                assert parts[upper][1] < parts[lower][1]


def test_landmarks_lie_on_their_parts():
    groups = {"r_eye": (36, 42), "l_eye": (42, 48), "r_brow": (17, 22), "l_brow": (22, 27)}
    for index in range(20):
        plain = sample_factors(7, index).replace(**PLAIN, eye_open=0.5, yaw=0.5, roll=0.0, hair_tuck=1.0)
        face = render(7, index, 128, factors=plain)
        mask, points = face["mask"], face["landmarks"]
        for name, (start, stop) in groups.items():
            rows, columns = np.nonzero(mask == CELEBAMASK[name])
            x, y = points[start:stop].mean(0)
            assert columns.min() <= x <= columns.max() + 1
            assert rows.min() - 1 <= y <= rows.max() + 2
        lips = np.isin(mask, [CELEBAMASK[n] for n in ("u_lip", "l_lip", "mouth")])
        rows, columns = np.nonzero(lips)
        np.testing.assert_allclose(points[48:60, 0].min(), columns.min(), atol=5)
        np.testing.assert_allclose(points[48:60, 0].max(), columns.max() + 1, atol=5)
        np.testing.assert_allclose(points[48:60, 1].min(), rows.min(), atol=2)
        np.testing.assert_allclose(points[48:60, 1].max(), rows.max() + 1, atol=2)
        assert (np.diff(points[2:15, 0]) > 0).all()  # the jaw runs from image left to right, upright at its ends
        assert points[8, 1] == points[:17, 1].max()  # and the chin is its lowest point


def test_an_open_mouth_shows_its_inside_and_a_closed_one_does_not():
    for index in range(5):
        rest = {**PLAIN, "smile": -1.0}
        shut = render(7, index, 128, factors=sample_factors(7, index).replace(**rest, mouth_open=0.0))
        wide = render(7, index, 128, factors=sample_factors(7, index).replace(**rest, mouth_open=1.0))
        assert not (shut["mask"] == CELEBAMASK["mouth"]).any()
        assert (wide["mask"] == CELEBAMASK["mouth"]).sum() > 60


def test_clear_glasses_show_the_eyes_and_dark_ones_hide_them():
    factors = sample_factors(7, 2).replace(**PLAIN, eye_open=0.5).replace(glasses=1.0)
    clear, dark = (render(7, 2, 128, factors=factors.replace(glasses_style=style)) for style in (-0.5, 0.9))
    assert (clear["mask"] == CELEBAMASK["l_eye"]).sum() > 10
    assert (dark["mask"] == CELEBAMASK["l_eye"]).sum() == 0
    assert (dark["mask"] == CELEBAMASK["eye_g"]).sum() > 500


def test_turning_the_head_narrows_its_far_side():
    def eye_widths(yaw):
        factors = sample_factors(7, 4).replace(**PLAIN, yaw=yaw, hair_tuck=1.0, eye_open=1.0)
        points = render(7, 4, 128, factors=factors)["landmarks"]
        return points[39, 0] - points[36, 0], points[45, 0] - points[42, 0]

    (right, left), (far_right, near_left) = eye_widths(0.0), eye_widths(-2.0)
    assert abs(right - left) < 0.5
    # Turned to the image's left, the subject's right eye is the far one.
    assert far_right < 0.8 * near_left


def test_one_identity_with_other_attributes():
    first, second = sample_factors(5, 1), sample_factors(5, 2, identity_index=1)
    assert first.identity == second.identity
    assert first.attributes != second.attributes
    assert sample_factors(5, 2).attributes == second.attributes
    np.testing.assert_array_equal(render(5, 2, 32, factors=second)["identity_factors"], np.float32(first.identity))


def test_identity_and_attributes_are_independent(drawn):
    cross = np.corrcoef(drawn.T)[: len(IDENTITY_FACTORS), len(IDENTITY_FACTORS) :]
    assert np.abs(cross).max() < 0.08  # more than four standard errors
    assert np.abs(drawn).max() <= 2.5


def test_one_factor_changes_one_thing():
    factors = sample_factors(7, 1).replace(**PLAIN, eye_open=1.0)
    face, other = (render(7, 1, 128, factors=factors.replace(gaze_x=g)) for g in (-1.5, 1.5))
    moved = np.argwhere((face["image"] != other["image"]).any(-1))
    eyes = np.concatenate([face["landmarks"][36:48]])
    assert (moved.min(0)[::-1] > eyes.min(0) - 8).all()
    assert (moved.max(0)[::-1] < eyes.max(0) + 8).all()
    np.testing.assert_array_equal(face["mask"], other["mask"])


def test_the_factor_vectors_draw_the_face_again(faces):
    factors = sample_factors(7, 6)
    np.testing.assert_array_equal(np.float32(factors.attributes), faces[6]["attribute_factors"])
    np.testing.assert_array_equal(render(7, 6, 128, factors=factors)["image"], faces[6]["image"])
    with pytest.raises(KeyError, match="smiel"):
        factors.replace(smiel=1.0)


def test_sizes_show_the_same_geometry(faces):
    for index in range(10):
        small, large = render(7, index, 64), faces[index]
        # A small pixel should be a class that occurs in its 2 x 2 block of the large mask.
        blocks = large["mask"].reshape(64, 2, 64, 2).transpose(0, 2, 1, 3).reshape(64, 64, 4)
        assert (blocks == small["mask"][..., None]).any(-1).mean() > 0.995
        assert (large["mask"][::2, ::2] == small["mask"]).mean() > 0.95
        np.testing.assert_allclose(2 * small["landmarks"], large["landmarks"], atol=1e-3)


@pytest.mark.parametrize("size", [15, 0, -1, 5000])
def test_an_impossible_size_is_named(size):
    with pytest.raises(UserError, match=str(size)):
        render(0, 0, size)


@pytest.mark.parametrize("size", [16, 33, 200])
def test_every_possible_size_works(size):
    assert render(1, 5, size)["image"].shape == (size, size, 3)
