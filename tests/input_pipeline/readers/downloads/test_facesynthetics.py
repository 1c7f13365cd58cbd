import pickle
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.facesynthetics import LAYOUT
from input_pipeline.synthetic import render

NAMES = ("000000", "000003", "099999")


def write_face(root, name, index):
    """Writes a procedural face as the data set does; returns (mask, landmarks)."""
    face = render(0, index, 32)
    mask = labels.remap(labels.CELEBAMASK, labels.FACESYNTHETICS)[face["mask"]]
    mask[:3] = labels.IGNORE
    pupils = [face["landmarks"][eye].mean(axis=0) for eye in (slice(36, 42), slice(42, 48))]
    landmarks = np.concatenate([face["landmarks"], pupils])
    Image.fromarray(face["image"]).save(root / f"{name}.png")
    Image.fromarray(mask).save(root / f"{name}_seg.png")
    (root / f"{name}_ldmks.txt").write_text("".join(f"{x!s} {y!s}\n" for x, y in landmarks))
    return mask, landmarks


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("facesynthetics")
    return root, [write_face(root, name, index) for index, name in enumerate(NAMES)]


@pytest.fixture
def download(tmp_path, written):
    """A copy to spoil."""
    shutil.copytree(written[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def load(root):
    return LAYOUT.open(epath.Path(root), "", None)


def test_round_trip(written):
    root, faces = written
    split = load(root)
    assert split.names == NAMES
    assert split.problems == ()
    assert split.label_set is labels.FACESYNTHETICS
    for index, (mask, landmarks) in enumerate(faces):
        assert split.image_path(index) == epath.Path(root / f"{NAMES[index]}.png")
        np.testing.assert_array_equal(split.read_mask(index), mask)
        assert (split.read_mask(index)[:3] == labels.IGNORE).all()
        points = split.read_landmarks(index)
        assert points.dtype == np.float32
        assert points.shape == (70, 2)
        np.testing.assert_array_equal(points, landmarks)


def test_is_a_layout_without_splits_and_variants(written):
    assert downloads.get("facesynthetics") == (LAYOUT, None)
    assert LAYOUT.splits(epath.Path(written[0])) == ()
    with pytest.raises(UserError, match="has no split 'val', it is not divided: take slices"):
        LAYOUT.open(epath.Path(written[0]), "val", None)


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "face.png").write_bytes(b"x")
    for act in (load, LAYOUT.splits):
        with pytest.raises(UserError, match=r"is no FaceSynthetics folder: it must hold 000000\.png, 000000_seg\.png"):
            act(epath.Path(tmp_path))
        with pytest.raises(UserError, match=r"nowhere' does not exist"):
            act(epath.Path(tmp_path / "nowhere"))


def test_split_is_small_and_picklable(written):
    split = load(written[0])
    copy = pickle.loads(pickle.dumps(split))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.read_mask(2), split.read_mask(2))


@pytest.mark.parametrize(
    ("missing", "path", "reason"),
    [
        ([".png"], "000003_seg.png", "has no '000003.png' beside it"),
        (["_seg.png"], "000003.png", "has no '000003_seg.png' beside it"),
        (["_ldmks.txt"], "000003.png", "has no '000003_ldmks.txt' beside it"),
        ([".png", "_seg.png"], "000003_ldmks.txt", "has no '000003.png' and no '000003_seg.png' beside it"),
    ],
)
def test_incomplete_faces_are_problems(download, missing, path, reason):
    for ending in missing:
        (download / f"000003{ending}").unlink()
    split = load(download)
    assert split.names == ("000000", "099999")
    assert split.problems == (("000003", str(download / path), reason),)


@pytest.mark.parametrize(
    "name",
    ["00001.png", "0000001.png", "000001.jpg", "000001_SEG.png", "000001_seg_seg.png", "٠٠٠٠٠١.png", "a\nb.png", "sub"],
)
def test_stray_files_are_problems(download, name):
    (download / name).write_bytes(b"x")
    (download / ".DS_Store").write_bytes(b"x")
    split = load(download)
    assert split.names == NAMES
    (problem,) = split.problems
    assert problem.name == name.replace("\n", "\\n")
    assert problem.path == f"{download}/{problem.name}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2\n" * 69, "holds 138 numbers instead of 140"),
        ("1 2\n" * 71, "holds 142 numbers instead of 140"),
        ("", "holds 0 numbers instead of 140"),
        ("1 2\n" * 69 + "1 x\n", "holds something that is no number"),
        ("1 2\n" * 69 + "1 nan\n", "holds a point that lies far outside"),
        ("1 2\n" * 69 + "-1e300 1\n", "holds a point that lies far outside"),
        (b"\x89PNG\xff", "is not a text file"),
    ],
)
def test_broken_landmarks_are_named(download, text, sentence):
    (download / "000003_ldmks.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=rf"000003_ldmks\.txt' {sentence}"):
        load(download).read_landmarks(1)


def test_landmarks_outside_of_the_picture_are_kept(download):
    (download / "000003_ldmks.txt").write_text("-3.25 700\r\n" * 70)
    np.testing.assert_array_equal(load(download).read_landmarks(1), np.tile(np.float32([-3.25, 700]), (70, 1)))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "is not a readable image"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "is damaged"),
        (lambda path: Image.new("RGB", (32, 32)).save(path), "is a colour image"),
        (lambda path: Image.new("L", (32, 32), 19).save(path), "holds the class id 19"),
    ],
)
def test_a_broken_mask_is_named(download, spoil, sentence):
    spoil(download / "000003_seg.png")
    with pytest.raises(UserError, match=rf"000003_seg\.png' {sentence}"):
        load(download).read_mask(1)
