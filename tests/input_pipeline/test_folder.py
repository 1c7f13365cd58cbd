import json
import pickle

import numpy as np
import pytest
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.folder import FolderSource


def write_pair(root, name, *, suffix="png", size=(12, 10), ids=(0, 1, 13), seed=0):
    """Random pixels and ids; returns (image, mask)."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    image, mask = rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.choice(ids, size).astype(np.uint8)
    Image.fromarray(image).save(root / "images" / f"{name}.{suffix}")
    Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return image, mask


@pytest.fixture
def faces(tmp_path):
    """A folder of three faces, and their arrays by name."""
    arrays = {name: write_pair(tmp_path, name, seed=k) for k, name in enumerate(("b", "a10", "a2"))}
    return tmp_path, arrays


def test_pairs_by_name_in_a_fixed_order(faces):
    root, arrays = faces
    source = FolderSource(root)
    assert source.names == ("a10", "a2", "b")
    assert len(source) == 3
    assert source.label_set is labels.CELEBAMASK
    for index, name in enumerate(source.names):
        np.testing.assert_array_equal(source[index]["image"], arrays[name][0])
        np.testing.assert_array_equal(source[index]["mask"], arrays[name][1])


def test_source_is_picklable(faces):
    source = FolderSource(faces[0])
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy[1]["mask"], source[1]["mask"])


def test_suffixes_in_any_case_and_other_files_beside(faces):
    root, _ = faces
    for k, suffix in enumerate(("JPG", "jpeg")):
        write_pair(root, f"c{k}", suffix=suffix)
    (root / "images" / "Thumbs.db").write_bytes(b"x")
    (root / "images" / "._a2.png").write_bytes(b"x")
    (root / "masks" / "b.png").rename(root / "masks" / "b.PNG")
    source = FolderSource(root)
    assert source.names == ("a10", "a2", "b", "c0", "c1")
    assert source[2]["mask"].shape == (12, 10)


def test_splits(tmp_path):
    for split in ("train", "val"):
        write_pair(tmp_path / split, f"face_{split}")
    assert FolderSource(tmp_path, "val").names == ("face_val",)
    with pytest.raises(UserError, match=r"has no split 'test': name one of train, val, as in 'folder:.*train'"):
        FolderSource(tmp_path, "test")
    with pytest.raises(UserError, match="divided into splits: name one of train, val"):
        FolderSource(tmp_path)


def test_missing_or_empty_folders(tmp_path):
    with pytest.raises(UserError, match=r"'.*nowhere' does not exist"):
        FolderSource(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no folder 'images'"):
        FolderSource(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match=r"images' holds no \.jpg, \.jpeg, \.png file"):
        FolderSource(tmp_path)


@pytest.mark.parametrize("label_set", ["lapa", "l2s_regions"])
def test_labels_json_names_the_label_set(tmp_path, label_set):
    write_pair(tmp_path / "train", "a", ids=(0, 1, 5))
    (tmp_path / "labels.json").write_text(json.dumps({"label_set": label_set}))
    assert FolderSource(tmp_path, "train").label_set.name == label_set
    (tmp_path / "train" / "labels.json").write_text('{"label_set": "helen"}')  # The nearer file counts.
    assert FolderSource(tmp_path, "train").label_set is labels.HELEN
    assert FolderSource(tmp_path, "train", labels.BISENET19).label_set is labels.BISENET19


@pytest.mark.parametrize("text", ["{", '["lapa"]', '{"label_set": 3}', "[" * 40000, "\xff\xfe"])
def test_broken_labels_json_is_named(faces, text):
    (faces[0] / "labels.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"labels\.json' must be a JSON object"):
        FolderSource(faces[0])


def test_labels_json_with_an_unknown_set(faces):
    (faces[0] / "labels.json").write_text('{"label_set": "lappa"}')
    with pytest.raises(UserError, match=r"unknown label set 'lappa'.*did you mean 'lapa'"):
        FolderSource(faces[0])


def test_image_without_mask(faces):
    (faces[0] / "masks" / "a2.png").unlink()
    with pytest.raises(UserError, match=r"1 image\(s\) have no mask of the same name .*masks': 'a2'; add or remove"):
        FolderSource(faces[0])
    with pytest.raises(UserError, match="'a2'"):
        FolderSource(faces[0], require_masks=False)


def test_mask_without_image(faces):
    for name in faces[1]:
        (faces[0] / "images" / f"{name}.png").rename(faces[0] / "images" / f"{name}x.png")
    for name in faces[1]:
        (faces[0] / "masks" / f"{name}.png").rename(faces[0] / "masks" / f"{name}x.png")
    for k in range(5):
        Image.new("L", (4, 4)).save(faces[0] / "masks" / f"z{k}.png")
    with pytest.raises(UserError, match=r"5 mask\(s\) have no image .*'z0', 'z1', 'z2', \.\.\.; add"):
        FolderSource(faces[0])


def test_two_images_of_one_name(faces):
    write_pair(faces[0], "b", suffix="jpg")
    with pytest.raises(UserError, match=r"holds both 'b\.jpg' and 'b\.png'"):
        FolderSource(faces[0])


def test_photos_without_labels(faces):
    root, arrays = faces
    for path in (root / "masks").iterdir():
        path.unlink()
    (root / "masks").rmdir()
    with pytest.raises(UserError, match="masks' does not exist"):
        FolderSource(root)
    example = FolderSource(root, require_masks=False)[2]
    assert set(example) == {"image"}
    np.testing.assert_array_equal(example["image"], arrays["b"][0])


@pytest.mark.parametrize("at_least", [None, 4])
def test_mask_of_another_size(tmp_path, at_least):
    """Also where the image, decoded at half its size, would by chance have the size of the mask."""
    write_pair(tmp_path, "a", suffix="jpg", size=(16, 24))
    Image.new("L", (12, 8)).save(tmp_path / "masks" / "a.png")
    source = FolderSource(tmp_path)
    with pytest.raises(UserError, match=r"a\.png' has 12 x 8 pixels, but its image 'a\.jpg' has 24 x 16"):
        source[0] if at_least is None else source.read_reduced(0, 12)


def test_id_outside_the_label_set(tmp_path):
    write_pair(tmp_path, "a", ids=(0, 18, 255))
    assert FolderSource(tmp_path)[0]["mask"].max() == 255
    (tmp_path / "labels.json").write_text('{"label_set": "lapa"}')
    with pytest.raises(UserError, match=r"a\.png' holds the class id 18, but label set 'lapa' ends at 10"):
        FolderSource(tmp_path)[0]


def test_damaged_files_are_named(faces):
    root, _ = faces
    path = root / "images" / "a10.png"
    path.write_bytes(path.read_bytes()[:80])
    (root / "masks" / "b.png").write_text("not an image")
    source = FolderSource(root)
    with pytest.raises(UserError, match=r"images/a10\.png' is"):
        source[0]
    with pytest.raises(UserError, match=r"masks/b\.png' is not a readable image"):
        source[2]


def test_rotated_photo_fits_its_upright_mask(tmp_path):
    write_pair(tmp_path, "a", size=(20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 30), (200, 0, 0)).save(tmp_path / "images" / "a.png")
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "images" / "a.png", exif=exif)
    Image.new("L", (20, 30)).save(tmp_path / "masks" / "a.png")
    source = FolderSource(tmp_path)
    for example in (source[0], source.read_reduced(0, 8)):
        assert example["image"].shape == (30, 20, 3)
        assert example["mask"].shape == (30, 20)


def test_reduced_reading_keeps_the_mask(tmp_path):
    write_pair(tmp_path, "a", suffix="jpg", size=(64, 128))
    example = FolderSource(tmp_path).read_reduced(0, 30)
    assert example["image"].shape == (16, 32, 3)
    assert example["mask"].shape == (64, 128)
