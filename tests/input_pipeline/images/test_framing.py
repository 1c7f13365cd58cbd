import pickle

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.images.framing import FIVE_POINT_MARGIN, FramedSource, align, face_square
from input_pipeline.images.geometry import crop, resize
from input_pipeline.labels import CELEBAMASK, IGNORE, L2S_REGIONS, SUBSPACE_PARTS
from input_pipeline.landmarks import TEMPLATE
from input_pipeline.synthetic import SyntheticSource
from input_pipeline.types import read_reduced
from tests.helpers.dots import assert_together, five_dots

ANGLE = np.deg2rad(-12)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
POINTS = (TEMPLATE - 0.5) @ TURN.T * 200 + (130, 105)


class Faces:
    """The same examples as a list; reduced ones at a half, a quarter or an eighth, as JPEG decoders do it."""

    label_set = CELEBAMASK
    problems = ("one", "two")

    def __init__(self, *examples):
        self.examples = examples
        self.names = [f"face{k}" for k in range(len(examples))]
        self.asked = []

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return dict(self.examples[index])

    def read_reduced(self, index, at_least):
        self.asked.append(at_least)
        example = self.examples[index]
        height, width = example["image"].shape[:2]
        scale = max(k for k in (1, 2, 4, 8) if k == 1 or max(height, width) // k >= at_least)
        small = resize({k: example[k] for k in ("image", "landmarks")}, -(-height // scale), -(-width // scale))
        return {**example, **small}


@pytest.fixture
def face():
    return five_dots(200, 260, POINTS, radius=4)


def test_whole_changes_nothing(face):
    source = FramedSource(Faces(face), "whole")
    for key in face:
        np.testing.assert_array_equal(source[0][key], face[key])
        np.testing.assert_array_equal(source.read_reduced(0, 100)[key], Faces(face).read_reduced(0, 100)[key])


def test_square_of_helen():
    """SegFace crops a square around the 68 landmarks, enlarged by 1.2."""
    points = np.random.default_rng(0).uniform((40, 30), (120, 130), (68, 2)).astype(np.float32)
    points[:4] = [(40, 60), (120, 60), (70, 30), (70, 130)]
    left, top, side = face_square({"image": np.zeros((200, 200, 3), np.uint8), "landmarks": points}, CELEBAMASK)
    np.testing.assert_allclose((left, top, side), (80 - 60, 80 - 60, 120))


def test_square_of_five_points_is_about_that_of_all_landmarks():
    for index in range(8):
        example = SyntheticSource(count=8, size=128, seed=1)[index]
        ours = np.array(face_square(example, CELEBAMASK))
        p = example["landmarks"]
        five = np.stack([p[36:42].mean(0), p[42:48].mean(0), p[30], p[48], p[54]])
        other = np.array(face_square({**example, "landmarks": five}, CELEBAMASK))
        assert 0.75 < other[2] / ours[2] < 1.3
        assert np.abs(other[:2] + other[2] / 2 - ours[:2] - ours[2] / 2).max() < 0.2 * ours[2]


def test_square_of_a_mask_leaves_hair_and_clothes_out():
    mask = np.full((50, 60), CELEBAMASK["hair"], np.uint8)
    mask[30:] = CELEBAMASK["cloth"]
    mask[:3] = IGNORE
    mask[10:30, 20:30] = CELEBAMASK["skin"]
    mask[12:14, 30] = CELEBAMASK["l_ear"]
    mask[31:40, 22:28] = CELEBAMASK["neck"]
    mask[5, 5] = CELEBAMASK["ear_r"]
    example = {"image": np.zeros((100, 120, 3), np.uint8), "mask": mask}
    left, top, side = face_square(example, CELEBAMASK)
    np.testing.assert_allclose((left, top, side), (51 - 24, 40 - 24, 48))


@pytest.mark.parametrize(("label_set", "part"), [(L2S_REGIONS, "nose"), (SUBSPACE_PARTS, "face")])
def test_square_of_a_mask_of_other_label_sets(label_set, part):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 6:14] = label_set[part]
    if "hair" in label_set:
        mask[:4] = label_set["hair"]
    square = face_square({"image": np.zeros((20, 20, 3), np.uint8), "mask": mask}, label_set)
    np.testing.assert_allclose(square, (4, 4, 12))


def test_face_is_a_crop_of_whole_pixels(face):
    framed = FramedSource(Faces(face), "face")[0]
    left, top, side = np.rint(face_square(face, CELEBAMASK)).astype(int)
    assert side == round(FIVE_POINT_MARGIN * np.ptp(POINTS, axis=0).max())
    rows, columns = np.arange(top, top + side).clip(0, 199), np.arange(left, left + side).clip(0, 259)
    np.testing.assert_array_equal(framed["image"], face["image"][np.ix_(rows, columns)])
    assert_together(framed, window=12)


@pytest.mark.parametrize("mask_scale", [1, 2])
def test_face_inside_is_what_the_picture_has_of_the_square(mask_scale):
    """The published SegFace cuts Helen's squares at the border of the photo and pads nothing."""
    face = five_dots(200, 260, POINTS - (0, 60), radius=4, mask_scale=mask_scale)
    left, top, side = np.rint(face_square(face, CELEBAMASK)).astype(int)
    bottom = top + side
    assert left >= 0 > top
    assert bottom < 200
    framed = FramedSource(Faces(face), "face_inside")[0]
    np.testing.assert_array_equal(framed["image"], face["image"][:bottom, left : left + side])
    columns = slice(mask_scale * left, mask_scale * (left + side))
    np.testing.assert_array_equal(framed["mask"], face["mask"][: mask_scale * bottom, columns])
    assert_together(framed, window=12)


def test_a_corner_of_a_face_is_a_pixel_at_least():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    cropped = crop({"image": np.repeat(image[..., None], 3, -1), "mask": image}, -3.4, 7.6, 3, inside=True)
    np.testing.assert_array_equal(cropped["mask"], [[56]])
    np.testing.assert_array_equal(cropped["image"], np.full((1, 1, 3), 56))


@pytest.mark.parametrize("framing", ["face", "aligned"])
@pytest.mark.parametrize("mask_scale", [1, 2])
def test_image_mask_and_landmarks_move_together(framing, mask_scale):
    source = Faces(five_dots(200, 260, POINTS, radius=4, mask_scale=mask_scale))
    assert_together(FramedSource(source, framing)[0], window=12)
    assert_together(read_reduced(FramedSource(source, framing), 0, 80), window=5, mask_tolerance=0.6)


def test_beyond_the_picture_the_border_is_repeated_and_ignored():
    face = five_dots(200, 260, POINTS - (90, 60), radius=4)
    face["image"][:, 0] = 77
    framed = FramedSource(Faces(face), "face")[0]
    assert_together({**framed, "image": np.where(framed["image"] == 77, 0, framed["image"])}, window=12)
    outside = framed["mask"] == IGNORE
    left, top, side = np.rint(face_square(face, CELEBAMASK)).astype(int)
    assert left < 0
    np.testing.assert_array_equal(outside[:, 0], True)
    assert outside.sum() == side**2 - (side + min(left, 0)) * (side + min(top, 0))
    assert (framed["image"][-top + 1 if top < 0 else 0 :, 0] == 77).all()


def test_aligned_faces_have_their_points_at_the_template():
    face = five_dots(200, 260, POINTS, radius=4)
    aligned = align(face, TEMPLATE, 128)
    assert aligned["image"].shape == (128, 128, 3)
    np.testing.assert_allclose(aligned["landmarks"], 128 * TEMPLATE, atol=1e-3)
    assert_together(aligned, window=8)
    framed = FramedSource(Faces(face), "aligned")[0]
    np.testing.assert_allclose(framed["landmarks"] / len(framed["image"]), TEMPLATE, atol=1e-5)
    assert len(framed["image"]) == 200  # POINTS are the template of a square of 200
    assert_together(framed, window=12)


@pytest.mark.parametrize("index", range(4))
def test_aligned_rendered_faces(index):
    framed = FramedSource(SyntheticSource(count=4, size=128, seed=0), "aligned")[index]
    ids = {name: framed["mask"] == CELEBAMASK[name] for name in ("nose", "skin")}
    side = len(framed["image"])
    ys, xs = np.nonzero(ids["nose"])
    np.testing.assert_allclose(np.array([xs.mean(), ys.mean()]) / side, TEMPLATE[2], atol=0.08)
    assert ids["skin"].mean() > 0.1
    np.testing.assert_array_equal(
        framed["identity_factors"], SyntheticSource(count=4, size=128, seed=0)[index]["identity_factors"]
    )


@pytest.mark.parametrize("at_least", [8, 40, 61, 90, 150, 1000])
@pytest.mark.parametrize("framing", ["face", "aligned"])
def test_reduced_reading_keeps_enough_pixels(framing, at_least):
    faces = Faces(five_dots(800, 1040, 4 * POINTS, radius=16))
    source = FramedSource(faces, framing)
    whole = len(source[0]["image"])
    framed = source.read_reduced(0, at_least)
    assert min(at_least, whole) <= len(framed["image"]) <= whole
    assert 1 <= len(faces.asked) <= 2
    scale = len(framed["image"]) / whole
    if framing == "face":
        np.testing.assert_allclose(framed["landmarks"] / scale, source[0]["landmarks"], atol=8)


def test_reduced_reading_reads_once_where_the_face_is_large_enough():
    faces = Faces(five_dots(800, 1040, 6 * (POINTS - (130, 105)) + (520, 400), radius=16))
    source = FramedSource(faces, "face")
    side = len(source[0]["image"])
    assert 800 < side < 900
    source.read_reduced(0, side // 4 - 1)  # 260 of 1040 pixels are enough
    assert len(faces.asked) == 1
    faces.asked.clear()
    source.read_reduced(0, side // 4 + 2)
    assert len(faces.asked) == 2


@pytest.mark.parametrize("framing", ["face", "aligned"])
def test_what_was_read_whole_is_not_read_again(framing):
    faces = Faces(five_dots(200, 260, POINTS, radius=4))
    source = FramedSource(faces, framing)
    reduced, whole = source.read_reduced(0, 300), source[0]
    assert faces.asked == [300]
    for key in whole:
        np.testing.assert_array_equal(reduced[key], whole[key])


def test_a_framed_source_is_a_source():
    source = FramedSource(SyntheticSource(count=3, size=64, seed=0), "face")
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert len(copy) == 3
    assert list(copy.names) == list(source.names)
    assert copy.label_set == CELEBAMASK
    assert copy.problems == ()
    assert FramedSource(Faces(), "face").problems == ("one", "two")
    for index in range(3):
        one, other = source[index], copy[index]
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize(
    ("framing", "changes", "problem"),
    [
        ("aligned", {"landmarks": None}, "without landmarks cannot be aligned"),
        ("aligned", {"landmarks": np.zeros((7, 2))}, "of 7 landmarks cannot be aligned"),
        ("aligned", {"landmarks": np.full((5, 2), 3.0)}, "all in one place or not finite"),
        ("aligned", {"landmarks": POINTS + 5000}, "lie outside of its picture"),
        ("face", {"landmarks": POINTS - 5000}, "lie outside of its picture"),
        ("face", {"landmarks": np.full((5, 2), np.nan)}, "spans no sensible square"),
        ("face", {"landmarks": np.full((5, 2), 3.0)}, "spans no sensible square"),
        ("face", {"landmarks": POINTS * 1e5}, "spans no sensible square"),
        ("face", {"landmarks": (POINTS - POINTS[2]) * 20 + POINTS[2]}, "spans no sensible square"),
        ("face", {"landmarks": None, "mask": None}, "without landmarks and mask cannot be framed"),
        ("face", {"landmarks": None, "mask": np.zeros((9, 9), np.uint8)}, "a mask without a face cannot be framed"),
    ],
)
def test_faces_that_cannot_be_framed_are_named(face, framing, changes, problem):
    broken = {key: array for key, array in {**face, **changes}.items() if array is not None}
    with pytest.raises(UserError, match=f"^'face1': .*{problem}"):
        FramedSource(Faces(face, broken), framing)[1]


def test_points_in_a_senseless_order_take_no_memory(face):
    """The similarity of points that fit no face reduces the picture to nothing; its square must stay small."""
    face["landmarks"] = np.float32([(10, 100), (100, 10), (99, 11), (11, 99), (100.001, 10)])
    framed = FramedSource(Faces(face), "aligned")[0]
    assert framed["image"].shape[0] <= 400
