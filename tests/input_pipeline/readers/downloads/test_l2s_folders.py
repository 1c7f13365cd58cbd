import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import L2S_REGIONS
from input_pipeline.readers.downloads.l2s_folders import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource
from tests.helpers.l2s_folders_fixture import FACES, REGIONS, cut_out, regions_of, write_l2s_folders


def open_folders(root, split="train"):
    return LAYOUT.open(epath.Path(root), split, None)


@pytest.fixture
def folders(tmp_path):
    """(root, faces by name)."""
    return tmp_path, write_l2s_folders(tmp_path)


def rewrite(folder, name, image, region):
    """Writes a photo and one region of it anew."""
    Image.fromarray(image).save(folder / "full" / f"{name}.png")
    for other in REGIONS:
        Image.fromarray(cut_out(image, region if other == "hair" else np.zeros_like(region))).save(
            folder / other / f"{name}.png"
        )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("masks", [False, True])
def test_round_trip(tmp_path, split, masks):
    faces = write_l2s_folders(tmp_path, masks=masks)
    assert LAYOUT.splits(epath.Path(tmp_path)) == ("test", "train")
    assert LAYOUT.splits(epath.Path(tmp_path / split)) == ()
    for raw in (open_folders(tmp_path, split), open_folders(tmp_path / split, "")):
        copy = pickle.loads(pickle.dumps(raw))  # noqa: S301 - our own bytes
        assert copy.label_set == L2S_REGIONS
        assert copy.names == FACES[split]
        assert copy.problems == ()
        for index, name in enumerate(copy.names):
            assert copy.image_path(index).read_bytes() == (tmp_path / split / "full" / f"{name}.png").read_bytes()
            np.testing.assert_array_equal(copy.read_mask(index), faces[name].mask)
            np.testing.assert_array_equal(LayoutSource(copy)[index]["image"], faces[name].image)


def test_skin_keeps_the_eyes_and_they_are_painted_over_it(folders):
    drawn = folders[1]["0"]
    regions = regions_of(drawn)
    assert (regions["skin"] & regions["eyes"]).any()
    mask = open_folders(folders[0]).read_mask(0)
    assert (mask[regions["eyes"]] == L2S_REGIONS["eyes"]).all()


def test_black_spots_inside_of_a_region_are_closed(folders):
    image = np.full((20, 20, 3), 90, np.uint8)
    region = np.zeros((20, 20), bool)
    region[4:16, 4:16] = True
    image[8:10, 8:10] = 0
    rewrite(folders[0] / "train", "0", image, region)
    np.testing.assert_array_equal(open_folders(folders[0]).read_mask(0), np.where(region, L2S_REGIONS["hair"], 0))


def test_black_backdrop_is_background(folders):
    image = np.zeros((20, 20, 3), np.uint8)
    region = np.zeros((20, 20), bool)
    region[4:16, 4:16] = True
    image[region] = 90
    rewrite(folders[0] / "train", "0", image, region)
    np.testing.assert_array_equal(open_folders(folders[0]).read_mask(0), np.where(region, L2S_REGIONS["hair"], 0))


def test_gap_where_the_photo_is_not_black_stays(folders):
    image = np.full((20, 20, 3), 90, np.uint8)
    region = np.zeros((20, 20), bool)
    region[4:16, 4:16] = True
    region[8:10, 8:10] = False
    rewrite(folders[0] / "train", "0", image, region)
    np.testing.assert_array_equal(open_folders(folders[0]).read_mask(0), np.where(region, L2S_REGIONS["hair"], 0))


def test_noise_of_jpeg_is_black(tmp_path):
    faces = write_l2s_folders(tmp_path)
    for path in list((tmp_path / "train").rglob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    raw = open_folders(tmp_path)
    for index, name in enumerate(raw.names):
        # What is lost are the darkest pixels of a region, which noise makes as black as what is cut out.
        assert np.mean(raw.read_mask(index) == faces[name].mask) > 0.98


@pytest.mark.parametrize("region", ["full", *REGIONS])
def test_missing_file_is_a_problem_and_shifts_no_other_face(folders, region):
    root, faces = folders
    (root / "train" / region / "10.png").unlink()
    raw = open_folders(root)
    assert raw.names == ("0", "2")
    (problem,) = raw.problems
    assert problem.name == "10"
    for index, name in enumerate(raw.names):
        np.testing.assert_array_equal(raw.read_mask(index), faces[name].mask)
    with pytest.raises(UserError, match=rf"10\.png' has no (photo|{region} image) '{region}/10\.jpg'"):
        LayoutSource(raw)


def test_missing_folders(tmp_path):
    with pytest.raises(UserError, match="has no folder 'full'"):
        LAYOUT.splits(epath.Path(tmp_path))
    write_l2s_folders(tmp_path)
    (tmp_path / "train" / "nose").rename(tmp_path / "nose")
    with pytest.raises(UserError, match=r"train/nose' does not exist"):
        open_folders(tmp_path)
    with pytest.raises(UserError, match="has no split 'val': name one of test, train"):
        open_folders(tmp_path, "val")


def test_region_of_another_size(folders):
    Image.new("RGB", (20, 30)).save(folders[0] / "test" / "eyes" / "27001.png")
    with pytest.raises(UserError, match=r"eyes/27001\.png' has 20 x 30 pixels, but its photo '.*' has 48 x 48"):
        open_folders(folders[0], "test").read_mask(0)


def test_damaged_region(folders):
    (folders[0] / "test" / "lips" / "27001.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"lips/27001\.png' is not a readable image"):
        open_folders(folders[0], "test").read_mask(0)
