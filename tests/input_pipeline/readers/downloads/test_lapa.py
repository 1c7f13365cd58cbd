import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import LAPA
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.lapa import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource
from tests.helpers.lapa_fixture import FACES, write_lapa


@pytest.fixture
def lapa(tmp_path):
    """(root, faces by name)."""
    return tmp_path, write_lapa(tmp_path)


def open_lapa(root, split="train"):
    return LAYOUT.open(epath.Path(root), split, None)


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("inside", ["", "LaPa"])
def test_round_trip(lapa, split, inside):
    root, faces = lapa
    assert downloads.get("lapa") == (LAYOUT, None)
    assert LAYOUT.splits(epath.Path(root / inside)) == ("train", "val", "test")
    raw = pickle.loads(pickle.dumps(open_lapa(root / inside, split)))  # noqa: S301 - our own bytes
    assert raw.label_set == LAPA
    assert raw.names == tuple(sorted(FACES[split]))
    assert raw.problems == ()
    for index, name in enumerate(raw.names):
        assert raw.image_path(index).read_bytes() == faces[name].jpeg()
        np.testing.assert_array_equal(raw.read_mask(index), faces[name].mask)
        np.testing.assert_array_equal(raw.read_landmarks(index), faces[name].landmarks)
        assert raw.read_landmarks(index).dtype == np.float32


def test_source_of_examples(lapa):
    root, faces = lapa
    source = LayoutSource(open_lapa(root, "test"))
    np.testing.assert_array_equal(source[1]["mask"], faces["8_1"].mask)
    reduced = source.read_reduced(1, 24)
    assert reduced["image"].shape == (24, 24, 3)
    np.testing.assert_array_equal(reduced["landmarks"], faces["8_1"].landmarks / 2)


def test_part_of_the_download(lapa):
    (lapa[0] / "LaPa" / "train").rename(lapa[0] / "train_elsewhere")
    assert LAYOUT.splits(epath.Path(lapa[0])) == ("val", "test")
    with pytest.raises(UserError, match="has no split 'train': name one of val, test"):
        open_lapa(lapa[0])


def test_other_folders(tmp_path):
    with pytest.raises(UserError, match="is not the folder LaPa: it has no folder train or val or test"):
        LAYOUT.splits(epath.Path(tmp_path))
    (tmp_path / "val" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"val/labels' does not exist"):
        open_lapa(tmp_path, "val")


@pytest.mark.parametrize(
    ("kind", "ending", "sentence"),
    [
        ("images", "jpg", r"labels/99_12\.png' has no photo 'images/99_12\.jpg'"),
        ("labels", "png", r"images/99_12\.jpg' has no label image 'labels/99_12\.png'"),
        ("landmarks", "txt", r"images/99_12\.jpg' has no landmark file 'landmarks/99_12\.txt'"),
    ],
)
def test_missing_partner(lapa, kind, ending, sentence):
    (lapa[0] / "LaPa" / "train" / kind / f"99_12.{ending}").unlink()
    raw = open_lapa(lapa[0])
    assert raw.names == ("112335_0", "HELEN_2_1_0")
    assert [problem.name for problem in raw.problems] == ["99_12"]
    with pytest.raises(UserError, match=sentence):
        LayoutSource(raw)
    assert len(LayoutSource(raw, strict=False)) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "does not begin with the number of its points, 106"),
        ("68\n" + "1 2\n" * 68, "does not begin with the number of its points, 106"),
        ("106\n" + "1 2\n" * 105, "holds 210 numbers instead of 212"),
        ("106\n" + "1 2\n" * 105 + "1", "holds 211 numbers instead of 212"),
        ("106\n" + "1 2\n" * 105 + "1 x", "something that is no number"),
        ("106\n" + "1 2\n" * 105 + "1 nan", "far outside of any picture"),
        ("106\n\xff", "is not a text file"),
    ],
)
def test_broken_landmarks(lapa, text, sentence):
    (lapa[0] / "LaPa" / "val" / "landmarks" / "7_1.txt").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"7_1\.txt' .*{sentence}"):
        open_lapa(lapa[0], "val").read_landmarks(0)


def test_broken_masks(lapa):
    path = lapa[0] / "LaPa" / "val" / "labels" / "7_1.png"
    Image.new("L", (48, 48), 11).save(path)
    with pytest.raises(UserError, match=r"7_1\.png' holds the class id 11, but label set 'lapa' ends at 10"):
        open_lapa(lapa[0], "val").read_mask(0)
    Image.new("L", (48, 40), 1).save(path)
    with pytest.raises(UserError, match="has 48 x 40 pixels, but the photo has 48 x 48"):
        LayoutSource(open_lapa(lapa[0], "val"))[0]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r"7_1\.png' is damaged"):
        open_lapa(lapa[0], "val").read_mask(0)
