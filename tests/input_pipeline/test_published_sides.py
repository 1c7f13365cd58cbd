"""Whose left? Faces as each data set publishes them, on their way through the pipeline."""

import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline import labels
from input_pipeline.audit import issues, sides
from input_pipeline.audit.scan import measure_face, scan
from input_pipeline.audit.sides import FixedSides, Verdict
from input_pipeline.datasets import open_source
from input_pipeline.images.augment import Augment
from input_pipeline.images.geometry import flip
from input_pipeline.labels import CELEBAMASK, LABEL_SETS
from input_pipeline.landmarks import five_points
from input_pipeline.loading.train import train_batches
from input_pipeline.types import Weighted
from tests.helpers.published_faces import PUBLISHED, SIDE, draw, draw_parts
from tests.input_pipeline.test_landmarks import schemes

ALL = pytest.mark.parametrize("name", PUBLISHED)


class Faces:
    """One face, drawn in one data set's ids."""

    def __init__(self, name):
        self.label_set, self.names = LABEL_SETS[name], (name,)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"image": np.zeros((SIDE, SIDE, 3), np.uint8), "mask": draw(self.names[index])}


def verdict(mask, label_set):
    stats = measure_face({"image": np.zeros((SIDE, SIDE, 3), np.uint8), "mask": mask}, label_set)
    return Verdict(sides.verdicts(sides.separations(stats[None], label_set))[0])


def test_every_set_with_sides_is_followed_here():
    assert set(PUBLISHED) == {name for name, label_set in LABEL_SETS.items() if sides.partners(label_set)}
    for name, parts in PUBLISHED.items():
        assert {left.removeprefix("l_") for left, _ in sides.partners(LABEL_SETS[name])} == set(parts)


@ALL
def test_a_face_as_published_is_correct_and_its_mirrored_pixels_are_not(name):
    mask, label_set = draw(name), LABEL_SETS[name]
    assert verdict(mask, label_set) == Verdict.CORRECT
    assert verdict(mask[:, ::-1], label_set) == Verdict.SWAPPED
    np.testing.assert_array_equal(FixedSides(Faces(name))[0]["mask"], mask)


@ALL
def test_left_is_the_right_half_of_the_image(name):
    mask, label_set = draw(name), LABEL_SETS[name]
    for part in PUBLISHED[name]:
        for side, half in (("l", mask[:, SIDE // 2 :]), ("r", mask[:, : SIDE // 2])):
            pixels = (mask == label_set[f"{side}_{part}"]).sum()
            assert pixels > 0
            assert (half == label_set[f"{side}_{part}"]).sum() == pixels


@ALL
@pytest.mark.parametrize("other", PUBLISHED)
def test_a_face_of_one_set_is_the_face_of_another(name, other):
    table = labels.remap(LABEL_SETS[name], LABEL_SETS[other])
    mapped, drawn = table[draw(name)], draw(other)
    for part in PUBLISHED[name].keys() & PUBLISHED[other].keys():
        for number in PUBLISHED[other][part]:
            np.testing.assert_array_equal(mapped == number, drawn == number)


@ALL
def test_a_mirrored_face_is_a_face_as_published(name):
    np.testing.assert_array_equal(flip(Faces(name)[0], LABEL_SETS[name])["mask"], draw(name))


@ALL
def test_a_mixture_with_celebamask_teaches_one_left(name):
    parts = [Weighted(1.0, Faces(name)), Weighted(1.0, Faces("celebamask"))]
    options = {"label_set": CELEBAMASK, "image_size": SIDE, "batch_size": 8, "seed": 0, "augment": Augment.none()}
    with train_batches(parts, **options) as batches:
        rows = next(batches)["mask"]
    for part in ("eye", "brow"):
        for number in PUBLISHED["celebamask"][part]:
            np.testing.assert_array_equal(rows == number, np.broadcast_to(draw("celebamask") == number, rows.shape))


def points_of(name, count):
    """float64 [count, 2] (x, y): the landmarks of the face, as its data set counts them."""
    return (schemes()[count] * (0.32, 0.4) + (0.5, 0.53)) * SIDE


def write_lapa(root, picture, mask, points):
    folders = [root / "LaPa" / "test" / kind for kind in ("images", "labels", "landmarks")]
    for folder in folders:
        folder.mkdir(parents=True)
    picture.save(folders[0] / "a.jpg")
    mask.save(folders[1] / "a.png")
    (folders[2] / "a.txt").write_text("106\n" + "".join(f"{x} {y}\n" for x, y in points))
    return f"lapa:{root}?test"


def write_helen(root, picture, mask, points):
    (root / "helen" / "test").mkdir(parents=True)
    picture.save(root / "helen" / "test" / "a_image.jpg")
    mask.save(root / "helen" / "test" / "a_label.png")
    (root / "helen" / "landmarks.txt").write_text(" ".join(map(str, [*(2 * points).ravel(), "a"])))
    return f"helen:{root}?test"


def write_facesynthetics(root, picture, mask, points):
    picture.save(root / "000000.png")
    mask.save(root / "000000_seg.png")
    (root / "000000_ldmks.txt").write_text("".join(f"{x} {y}\n" for x, y in points))
    return f"facesynthetics:{root}"


@pytest.mark.parametrize(
    ("name", "count", "write"),
    [("lapa", 106, write_lapa), ("helen", 68, write_helen), ("facesynthetics", 70, write_facesynthetics)],
)
def test_the_check_finds_nothing_swapped_in_a_download(tmp_path, name, count, write):
    picture, mask = Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)), Image.fromarray(draw(name))
    source = open_source(write(tmp_path, picture, mask, points_of(name, count)))
    part = issues.ScannedSplit(source, scan(source, jobs=1))
    assert part.scan.broken == []
    assert source[0]["landmarks"].shape == (count, 2)
    kinds = {finding.kind for finding in issues.inspect({"": part})}
    assert kinds.isdisjoint({"swapped_sides", "mixed_sides", "swapped_landmarks"})
    assert verdict(source[0]["mask"], source.label_set) == Verdict.CORRECT


@pytest.mark.parametrize(("count", "name"), [(68, "helen"), (70, "facesynthetics"), (106, "lapa")])
def test_landmarks_count_from_the_subjects_right(count, name):
    """The scheme of each data set, laid on its face: the first of the five points is the eye on the image's left."""
    columns, rows = np.floor(five_points(points_of(name, count))[:2]).astype(int).T
    assert draw(name)[rows, columns].tolist() == [LABEL_SETS[name]["r_eye"], LABEL_SETS[name]["l_eye"]]
    assert draw(name)[rows, columns].tolist() == list(PUBLISHED[name]["eye"])


# An order that this house has no name for: 3 = right eye, 4 = left eye, 5 and 6 = right and left eyebrow.
ANOTHER = ["background", "skin", "nose", "r_eye", "l_eye", "r_brow", "l_brow", "mouth", "u_lip", "l_lip", "hair"]


def test_another_order_is_a_line(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    mask = draw_parts({"eye": (3, 4), "brow": (5, 6)}, skin=1)
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    line = json.dumps({"labels": ANOTHER})
    assert "\n" not in line
    (tmp_path / "labels.json").write_text(line)
    source = open_source(f"folder:{tmp_path}")
    assert source.label_set.names == tuple(ANOTHER)
    face = source[0]
    assert verdict(face["mask"], source.label_set) == Verdict.CORRECT
    np.testing.assert_array_equal(flip(face, source.label_set)["mask"], mask)
    mapped, drawn = labels.remap(source.label_set, CELEBAMASK)[face["mask"]], draw("celebamask")
    for part in ("eye", "brow"):
        for number in PUBLISHED["celebamask"][part]:
            np.testing.assert_array_equal(mapped == number, drawn == number)
