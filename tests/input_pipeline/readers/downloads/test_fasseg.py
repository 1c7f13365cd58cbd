import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import FASSEG
from input_pipeline.readers.downloads.fasseg import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource
from tests.helpers.fasseg_fixture import SETS, colored, encode, write_fasseg


def open_fasseg(root, split="train"):
    return LAYOUT.open(epath.Path(root), split, None)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["frontal02", "multipose01"])
def test_round_trip(tmp_path, name, split):
    faces = write_fasseg(tmp_path, name)
    assert LAYOUT.splits(epath.Path(tmp_path)) == ("train", "test")
    raw = pickle.loads(pickle.dumps(open_fasseg(tmp_path, split)))  # noqa: S301 - our own bytes
    assert raw.label_set == FASSEG
    assert raw.problems == ()
    wanted = {key: drawn for key, drawn in faces.items() if key.lower().startswith(split)}
    by_name = {key.rpartition("/")[2]: drawn for key, drawn in wanted.items()}
    assert raw.names == tuple(sorted(by_name))
    for index, stem in enumerate(raw.names):
        assert raw.image_path(index).read_bytes() == encode(by_name[stem].image, "bmp")
        np.testing.assert_array_equal(raw.read_mask(index), by_name[stem].mask)
        assert raw.read_landmarks(index) is None
        np.testing.assert_array_equal(LayoutSource(raw)[index]["image"], by_name[stem].image)


def test_set_that_is_not_divided(tmp_path):
    """Its label images are JPEG files: at most pixels of borders may differ."""
    faces = write_fasseg(tmp_path, "frontal03")
    assert LAYOUT.splits(epath.Path(tmp_path)) == ()
    raw = open_fasseg(tmp_path, "")
    assert raw.names == SETS["frontal03"]["Original"]
    for index, drawn in enumerate(faces.values()):
        assert raw.image_path(index).read_bytes() == encode(drawn.image, "jpg")
        assert np.mean(raw.read_mask(index) == drawn.mask) > 0.98
    with pytest.raises(UserError, match=r"is not divided into splits: leave '\?train' out"):
        open_fasseg(tmp_path, "train")


def test_folder_of_all_sets(tmp_path):
    for name in SETS:
        write_fasseg(tmp_path / name, name)
    with pytest.raises(UserError, match=r"name one of its sets, as in 'fasseg:.*/frontal02'"):
        LAYOUT.splits(epath.Path(tmp_path))
    with pytest.raises(UserError, match="check the path"):
        LAYOUT.splits(epath.Path(tmp_path / "frontal02" / "Train_RGB"))


def test_unknown_split(tmp_path):
    write_fasseg(tmp_path, "frontal02")
    with pytest.raises(UserError, match="has no split 'val': name one of train, test"):
        open_fasseg(tmp_path, "val")
    with pytest.raises(UserError, match="is divided into splits: name one of train, test"):
        open_fasseg(tmp_path, "")


@pytest.mark.parametrize(("name", "pose"), [("frontal02", ""), ("multipose01", "-90/")])
def test_missing_partner(tmp_path, name, pose):
    write_fasseg(tmp_path, name)
    photo = sorted((tmp_path / "Train_RGB" / pose).iterdir())[0]
    photo.unlink()
    raw = open_fasseg(tmp_path)
    (problem,) = raw.problems
    assert problem.name == photo.stem
    assert photo.stem not in raw.names
    with pytest.raises(UserError, match="has no photo"):
        LayoutSource(raw)


def test_one_name_in_two_poses_is_a_problem(tmp_path):
    write_fasseg(tmp_path, "multipose01")
    for folder in ("Train_RGB", "Train_labels"):
        source = tmp_path / folder / "+15" / "personne01147+0+15.bmp"
        (tmp_path / folder / "0" / source.name).write_bytes(source.read_bytes())
    raw = open_fasseg(tmp_path)
    assert len(raw.names) == 4
    (problem,) = raw.problems
    assert "the name of a face in another pose" in problem.reason


def test_colour_that_stands_for_nothing(tmp_path):
    faces = write_fasseg(tmp_path, "frontal02")
    image = colored(faces["Train_RGB/1"].mask)
    image[4:20, 10:26] = (255, 0, 255)
    Image.fromarray(image).save(tmp_path / "Train_Labels" / "1.bmp")
    raw = open_fasseg(tmp_path)
    with pytest.raises(UserError, match=r"Train_Labels/1\.bmp' has the colour \(255, 0, 255\) at x 1\d, y \d+"):
        raw.read_mask(0)
    np.testing.assert_array_equal(raw.read_mask(1), faces["Train_RGB/10"].mask)
