import json
import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.readers.downloads.folder import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource


def write_pair(root, name, *, suffix="png", size=(12, 10), ids=(0, 1, 13), seed=0):
    """Random pixels and ids; returns (image, mask)."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    image, mask = rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.choice(ids, size).astype(np.uint8)
    Image.fromarray(image).save(root / "images" / f"{name}.{suffix}")
    Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return image, mask


def open_folder(root, split=""):
    return LAYOUT.open(epath.Path(root), split, None)


def folder_source(root, split="", **options):
    return LayoutSource(open_folder(root, split), **options)


@pytest.fixture
def faces(tmp_path):
    """A folder of three faces, and their arrays by name."""
    arrays = {name: write_pair(tmp_path, name, seed=k) for k, name in enumerate(("b", "a10", "a2"))}
    return tmp_path, arrays


def test_pairs_by_name_in_a_fixed_order(faces):
    root, arrays = faces
    source = folder_source(root)
    assert LAYOUT.splits(epath.Path(root)) == ()
    assert source.names == ("a10", "a2", "b")
    assert len(source) == 3
    assert source.label_set is labels.CELEBAMASK
    for index, name in enumerate(source.names):
        assert source.raw.image_path(index).read_bytes() == (root / "images" / f"{name}.png").read_bytes()
        assert set(source[index]) == {"image", "mask"}
        np.testing.assert_array_equal(source[index]["image"], arrays[name][0])
        np.testing.assert_array_equal(source[index]["mask"], arrays[name][1])


def test_split_is_picklable(faces):
    split = open_folder(faces[0])
    copy = pickle.loads(pickle.dumps(split))  # noqa: S301 - our own bytes
    assert copy.matched == split.matched
    np.testing.assert_array_equal(copy.read_mask(1), faces[1]["a2"][1])


def test_suffixes_in_any_case_and_other_files_beside(faces):
    root, _ = faces
    for k, suffix in enumerate(("JPG", "jpeg")):
        write_pair(root, f"c{k}", suffix=suffix)
    (root / "images" / "Thumbs.db").write_bytes(b"x")
    (root / "images" / "._a2.png").write_bytes(b"x")
    (root / "masks" / "b.png").rename(root / "masks" / "b.PNG")
    source = folder_source(root)
    assert source.names == ("a10", "a2", "b", "c0", "c1")
    assert source[2]["mask"].shape == (12, 10)


def test_splits(tmp_path):
    for split in ("val", "train"):
        write_pair(tmp_path / split, f"face_{split}")
    (tmp_path / "notes").mkdir()
    assert LAYOUT.splits(epath.Path(tmp_path)) == ("train", "val")
    assert open_folder(tmp_path, "val").names == ("face_val",)
    with pytest.raises(UserError, match=r"has no split 'test': name one of train, val, as in 'folder:.*\?train'"):
        open_folder(tmp_path, "test")
    with pytest.raises(UserError, match="divided into splits: name one of train, val"):
        open_folder(tmp_path)
    with pytest.raises(UserError, match=r"is not divided into splits: leave '\?val' out"):
        open_folder(tmp_path / "train", "val")


@pytest.mark.parametrize("split", ["..", ".", "train/.."])
def test_split_does_not_leave_the_folder(tmp_path, split):
    write_pair(tmp_path, "outside")
    write_pair(tmp_path / "data" / "train", "inside")
    with pytest.raises(UserError, match="has no split"):
        open_folder(tmp_path / "data", split)


def test_missing_or_empty_folders(tmp_path):
    with pytest.raises(UserError, match=r"'.*nowhere' does not exist"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no folder 'images'"):
        open_folder(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(
        UserError, match=r"images' holds no whole face \(\.jpg, \.jpeg, \.png, .*\.heic, .*\): put photos there"
    ):
        open_folder(tmp_path)


def test_labels_json_of_the_split_or_of_the_whole(tmp_path):
    write_pair(tmp_path / "train", "a", ids=(0, 1, 5))
    (tmp_path / "labels.json").write_text(json.dumps({"label_set": "l2s_regions"}))
    assert open_folder(tmp_path, "train").label_set is labels.L2S_REGIONS
    (tmp_path / "train" / "labels.json").write_text('{"label_set": "helen"}')  # The nearer file counts.
    assert open_folder(tmp_path, "train").label_set is labels.HELEN


def test_label_map_moves_the_values_of_the_files(tmp_path):
    _, values = write_pair(tmp_path, "a", ids=(0, 7, 200, 255))
    names = {"200": "background", "0": "crown", "7": "skin"}
    (tmp_path / "labels.json").write_text(json.dumps({"name": "royal", "labels": names}))
    source = folder_source(tmp_path)
    assert source.label_set.name == "royal"
    assert source.label_set.names == ("background", "crown", "skin")
    wanted = np.select([values == 200, values == 0, values == 7], [0, 1, 2], 255)
    np.testing.assert_array_equal(source[0]["mask"], wanted)


def test_value_that_the_label_map_does_not_name(tmp_path):
    write_pair(tmp_path, "a", ids=(0, 4))
    (tmp_path / "labels.json").write_text('{"labels": {"0": "background", "1": "skin", "2": "hair", "7": "crown"}}')
    with pytest.raises(UserError, match=r"a\.png' holds the class id 4, but the ids of .*'custom' are 0 to 2, 7 \(and"):
        folder_source(tmp_path)[0]


def test_image_without_mask_is_a_problem(faces):
    (faces[0] / "masks" / "a2.png").unlink()
    split = open_folder(faces[0])
    assert split.names == ("a10", "b")
    (problem,) = split.problems
    assert problem.name == "a2"
    assert problem.path == str(faces[0] / "images" / "a2.png")
    assert problem.reason.startswith("has no mask 'masks/a2.png'")
    with pytest.raises(UserError, match=r"images/a2\.png' has no mask 'masks/a2\.png'"):
        LayoutSource(split, require_masks=False)


def test_mask_without_image_is_a_problem(faces):
    for k in range(5):
        Image.new("L", (4, 4)).save(faces[0] / "masks" / f"z{k}.png")
    split = open_folder(faces[0])
    assert [problem.name for problem in split.problems] == ["z0", "z1", "z2", "z3", "z4"]
    with pytest.raises(UserError, match=r"masks/z0\.png' has no photo 'images/z0\.jpg'.* \(and 4 more\)"):
        LayoutSource(split)


def test_two_images_of_one_name_are_a_problem(faces):
    write_pair(faces[0], "b", suffix="jpg")
    split = open_folder(faces[0])
    assert split.names == ("a10", "a2")
    with pytest.raises(UserError, match=r"images/b\.png' has, but for its ending, the same name as 'b\.jpg'"):
        LayoutSource(split)


def test_name_that_cannot_be_printed_is_a_problem(faces):
    Image.new("RGB", (4, 4)).save(faces[0] / "images" / "x\n\x1b[31m.png")
    (problem,) = open_folder(faces[0]).problems
    assert (problem.path + problem.name + problem.reason).isprintable()
    assert open_folder(faces[0]).names == ("a10", "a2", "b")


def test_no_pair_at_all(tmp_path):
    write_pair(tmp_path, "a")
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "b.png")
    with pytest.raises(UserError, match=r"no whole face .*a\.png' has no mask 'masks/a\.png'"):
        open_folder(tmp_path)


def test_photos_without_labels(faces):
    root, arrays = faces
    for path in (root / "masks").iterdir():
        path.unlink()
    (root / "masks").rmdir()
    with pytest.raises(UserError, match=r"a10\.png' has no mask, nor have the other photos"):
        folder_source(root)
    source = folder_source(root, require_masks=False)
    assert source.raw.read_mask(2) is None
    assert set(source[2]) == {"image"}
    np.testing.assert_array_equal(source[2]["image"], arrays["b"][0])


def test_id_outside_the_label_set(tmp_path):
    write_pair(tmp_path, "a", ids=(0, 18, 255))
    assert folder_source(tmp_path)[0]["mask"].max() == 255
    (tmp_path / "labels.json").write_text('{"label_set": "lapa"}')
    with pytest.raises(UserError, match=r"a\.png' holds the class id 18, but the ids of label set 'lapa' are 0 to 10"):
        folder_source(tmp_path)[0]


def test_damaged_files_are_named(faces):
    root, _ = faces
    path = root / "images" / "a10.png"
    path.write_bytes(path.read_bytes()[:80])
    (root / "masks" / "b.png").write_text("not an image")
    source = folder_source(root)
    with pytest.raises(UserError, match=r"images/a10\.png' is"):
        source[0]
    with pytest.raises(UserError, match=r"masks/b\.png' is not a readable image"):
        source[2]
