import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import HELEN
from input_pipeline.readers.downloads.helen import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource
from tests.helpers.helen_fixture import FACES, line_of, write_helen


@pytest.fixture
def helen(tmp_path):
    """(root, faces by name)."""
    return tmp_path, write_helen(tmp_path)


def open_helen(root, split="train"):
    return LAYOUT.open(epath.Path(root), split, None)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("inside", ["", "helen"])
def test_round_trip(helen, split, inside):
    root, faces = helen
    assert LAYOUT.splits(epath.Path(root / inside)) == ("train", "test")
    raw = pickle.loads(pickle.dumps(open_helen(root / inside, split)))  # noqa: S301 - our own bytes
    assert raw.label_set == HELEN
    assert raw.names == tuple(sorted(FACES[split]))
    assert raw.problems == ()
    for index, name in enumerate(raw.names):
        assert raw.image_path(index).read_bytes() == faces[name].jpeg()
        np.testing.assert_array_equal(raw.read_mask(index), faces[name].mask)
        points = raw.read_landmarks(index)
        assert points.dtype == np.float32
        np.testing.assert_allclose(points, faces[name].landmarks, rtol=0, atol=1e-6)  # the file has six decimals


def test_landmarks_are_in_pixels_of_the_photo(helen):
    """The file counts pixels of a photo of twice the size."""
    (helen[0] / "helen" / "landmarks.txt").write_text(" ".join(["96 48"] * 68 + ["30844800_1"]) + "\n")
    np.testing.assert_array_equal(open_helen(helen[0], "test").read_landmarks(0), [[48, 24]] * 68)


def test_without_landmarks(helen):
    (helen[0] / "helen" / "landmarks.txt").unlink()
    raw = open_helen(helen[0])
    assert raw.problems == ()
    assert raw.read_landmarks(0) is None
    assert set(LayoutSource(raw)[0]) == {"image", "mask"}


def test_there_is_no_val(helen):
    with pytest.raises(UserError, match="has no split 'val': name one of train, test"):
        open_helen(helen[0], "val")


def test_other_folder(tmp_path):
    with pytest.raises(UserError, match="is not the folder helen: it has no folder train or test"):
        LAYOUT.splits(epath.Path(tmp_path))


def test_missing_partner(helen):
    (helen[0] / "helen" / "train" / "10405146_1_label.png").unlink()
    raw = open_helen(helen[0])
    assert raw.names == ("100032540_1",)
    with pytest.raises(UserError, match=r"10405146_1_image\.jpg' has no label image 'train/10405146_1_label\.png'"):
        LayoutSource(raw)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: "", "has 0 lines for '10405146_1' instead of one"),
        (lambda line: line + "\n" + line, "has 2 lines for '10405146_1' instead of one"),
        (lambda line: line.partition(" ")[2], "holds 135 numbers instead of 136"),
        (lambda line: "x " + line.partition(" ")[2], "something that is no number"),
        (lambda line: "inf " + line.partition(" ")[2], "far outside of any picture"),
        (lambda line: line[: len(line) // 2], "has 0 lines for '10405146_1'"),
    ],
)
def test_broken_line_is_a_problem_of_one_face(helen, change, reason):
    root, faces = helen
    lines = [line_of("100032540_1", faces["100032540_1"]), change(line_of("10405146_1", faces["10405146_1"]))]
    (root / "helen" / "landmarks.txt").write_text("\n".join(lines))
    raw = open_helen(root)
    assert raw.names == ("100032540_1",)
    assert raw.read_mask(0).shape == (48, 48)
    (problem,) = raw.problems
    assert problem.name == "10405146_1"
    assert problem.path.endswith("landmarks.txt")
    assert reason in problem.reason


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "\x1b[31m", "30844800_1/.."])
def test_names_in_the_text_open_no_files(helen, name):
    root, faces = helen
    path = root / "helen" / "landmarks.txt"
    path.write_text(line_of(name, faces["10405146_1"]) + "\n" + path.read_text())
    raw = open_helen(root)
    assert raw.names == tuple(sorted(FACES["train"]))
    assert raw.problems == ()
    path.write_text(line_of(name, faces["10405146_1"]))
    with pytest.raises(UserError, match=r"landmarks\.txt' has no line for any face of '.*train'"):
        open_helen(root)


def test_broken_masks(helen):
    path = helen[0] / "helen" / "test" / "30844800_1_label.png"
    Image.new("L", (48, 48), 200).save(path)
    with pytest.raises(UserError, match=r"_label\.png' holds the class id 200, but label set 'helen' ends at 10"):
        open_helen(helen[0], "test").read_mask(0)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"_label\.png' is not a readable image"):
        open_helen(helen[0], "test").read_mask(0)
