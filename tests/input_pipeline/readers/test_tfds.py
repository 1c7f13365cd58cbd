"""Reading what TFDS prepared, also data sets of other people: their features, faults and folders."""

import concurrent.futures
import io
import json
import pickle
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from input_pipeline import labels
from input_pipeline.datasets import open_source, open_splits
from input_pipeline.errors import UserError

COUNT = 5
PICTURE = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
MASK_PICTURE = tfds.features.Image(shape=(None, None, 1), encoding_format="png")


def photo(index):
    return np.full((24, 32, 3), 40 * index, np.uint8)


def mask(index):
    return np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) % (3 + index)


def encoded(array, suffix):
    file = io.BytesIO()
    Image.fromarray(array).save(file, suffix, **({"quality": 100} if suffix == "JPEG" else {}))
    return io.BytesIO(file.getvalue())


class Foreign(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder as others write them: splits shuffled by TFDS, features and metadata of the test's choice."""

    VERSION = tfds.core.Version("1.0.0")
    name = "foreign"
    url_infos = None

    def __init__(self, features, example, metadata, **options):
        self._features, self._example, self._metadata = features, example, metadata
        super().__init__(file_format="array_record", **options)

    def _info(self):
        metadata = None if self._metadata is None else tfds.core.MetadataDict(self._metadata)
        features = tfds.features.FeaturesDict(self._features)
        return tfds.core.DatasetInfo(builder=self, features=features, metadata=metadata)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(COUNT)), "test": self._generate_examples(range(2))}

    def _generate_examples(self, numbers):
        for number in numbers:
            yield number, self._example(number)


def prepare(data_dir, features, example, metadata, **options):
    Foreign(features, example, metadata, data_dir=data_dir, **options).download_and_prepare()


def pictures(number):
    return {"image": encoded(photo(number), "JPEG"), "mask": encoded(mask(number), "PNG")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """data_dir of a data set with pictures, ids of the class order of LaPa, and no names."""
    data_dir = tmp_path_factory.mktemp("tfds")
    prepare(data_dir, {"image": PICTURE, "mask": MASK_PICTURE}, pictures, {"label_set": "lapa"})
    return data_dir


@pytest.fixture
def copy(prepared, tmp_path):
    """A copy to spoil: (spec, folder of the version)."""
    shutil.copytree(prepared, tmp_path / "tfds")
    return f"tfds:{tmp_path / 'tfds'}#foreign?train", tmp_path / "tfds" / "foreign" / "1.0.0"


def numbers(source):
    return sorted(int(example["image"][0, 0, 0]) // 40 for example in source)


def test_examples(prepared):
    source = open_source(f"tfds:{prepared}#foreign?train")
    assert source.label_set is labels.LAPA
    assert len(source) == len(source.names) == COUNT
    assert source.names[1] == "000001"
    assert source.names[1:3] == ("000001", "000002")
    seen = set()
    for index in range(COUNT):
        example = source[index]
        number = int(example["image"][0, 0, 0]) // 40
        seen.add(number)
        np.testing.assert_array_equal(example["image"], photo(number))
        np.testing.assert_array_equal(example["mask"], mask(number))
        np.testing.assert_array_equal(source.read_mask(index), mask(number))
        assert source.read_reduced(index, 10)["image"].shape == (12, 16, 3)
    assert seen == set(range(COUNT))
    with pytest.raises(IndexError):
        source[COUNT]


def test_splits_slices_versions(prepared):
    assert {split: len(source) for split, source in open_splits(f"tfds:{prepared}#foreign").items()} == {
        "train": COUNT,
        "test": 2,
    }
    assert len(open_source(f"tfds:{prepared}#foreign:1.0.0?train[1:3]")) == 2
    with pytest.raises(UserError, match=r"has no split 'val': name one of train, test, as in 'tfds:.*#foreign\?train'"):
        open_source(f"tfds:{prepared}#foreign?val")
    with pytest.raises(UserError, match="is divided into splits: name one of train, test"):
        open_source(f"tfds:{prepared}#foreign")
    with pytest.raises(UserError, match=r"has no version 2\.0\.0: it has 1\.0\.0"):
        open_source(f"tfds:{prepared}#foreign:2.0.0?train")


def test_masks_coded_as_jpeg_are_refused(tmp_path):
    jpeg = tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg")
    features = {"image": PICTURE, "mask": jpeg}
    prepare(tmp_path, features, lambda k: pictures(k) | {"mask": encoded(mask(k), "JPEG")}, {"label_set": "lapa"})
    with pytest.raises(UserError, match=r"\?test\[0\] mask' holds JPEG data, whose coding changes class ids"):
        open_source(f"tfds:{tmp_path}#foreign?test")[0]


def test_the_newest_version_counts(copy):
    spec, directory = copy
    for version in ("9.0.0", "10.0.0"):
        shutil.copytree(directory, directory.with_name(version))
    (directory.with_name("9.0.0") / "features.json").unlink()
    assert len(open_source(spec)) == COUNT
    with pytest.raises(UserError, match=r"9\.0\.0/features\.json' does not exist: build it again"):
        open_source(spec.replace("?", ":9.0.0?"))


def test_folder_from_the_environment(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(open_source("tfds:foreign?test")) == 2
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(
        UserError,
        match=r"'foreign' is not prepared in '.*': build it there with `python -m input_pipeline\.readers\.tfds\.buil",
    ):
        open_source("tfds:foreign?test")


@pytest.mark.parametrize("where", ["../foreign", "foreign/../x", "foreign:abc", "foreign:1.0.0/x", "a b", "#"])
def test_malformed_names(tmp_path, where):
    with pytest.raises(UserError, match=r"does not name a TFDS data set: write tfds:\[DIR#\]NAME"):
        open_source(f"tfds:{tmp_path}#{where}")


def test_configs_are_listed(copy):
    spec, directory = copy
    home = directory.parent
    shutil.move(directory, home / "big" / "1.0.0")
    shutil.copytree(home / "big", home / "small")
    (home / ".config").mkdir()
    with pytest.raises(UserError, match="is divided into configs, name one of big, small, as in 'foreign/big'"):
        open_source(spec)
    with pytest.raises(UserError, match="is divided into configs"):
        open_source(spec.replace("foreign", "foreign/huge"))


def test_threads_and_copies_read_the_same(prepared):
    source = open_source(f"tfds:{prepared}#foreign?train")
    twin = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        examples = list(pool.map(lambda k: source[k % COUNT], range(40)))
    for k, example in enumerate(examples):
        np.testing.assert_array_equal(example["mask"], twin[k % COUNT]["mask"])


def test_masks_as_arrays_and_landmarks(tmp_path):
    points = np.float32([[8, 4], [16.5, 20]])
    features = {
        "image": PICTURE,
        "segmentation_mask": tfds.features.Tensor(shape=(None, None, 1), dtype=np.int32, encoding="zlib"),
        "label": tfds.features.ClassLabel(num_classes=3),
        "landmarks": tfds.features.Tensor(shape=(2, 2), dtype=np.float32),
    }

    def example(number):
        ids = mask(number)[..., None].astype(np.int32)
        return {"image": pictures(number)["image"], "segmentation_mask": ids, "label": 1, "landmarks": points}

    prepare(tmp_path, features, example, {"label_set": "helen"})
    source = open_source(f"tfds:{tmp_path}#foreign?train")
    for index in range(COUNT):
        whole, reduced = source[index], source.read_reduced(index, 16)
        np.testing.assert_array_equal(whole["mask"], mask(int(whole["image"][0, 0, 0]) // 40))
        assert whole["mask"].dtype == np.uint8
        np.testing.assert_array_equal(whole["landmarks"], points)
        np.testing.assert_array_equal(reduced["landmarks"], points / 2)


def test_ids_that_are_none(tmp_path):
    features = {"image": PICTURE, "mask": tfds.features.Tensor(shape=(24, 32), dtype=np.int32)}
    prepare(
        tmp_path,
        features,
        lambda number: {
            "image": pictures(number)["image"],
            "mask": mask(number).astype(np.int32) * (-1 if number else 300),
        },
        {"label_set": "helen"},
    )
    source = open_source(f"tfds:{tmp_path}#foreign?train")
    for index in range(COUNT):
        with pytest.raises(
            UserError, match=rf"foreign\?train\[{index}\] mask' holds int32 values that are no class ids"
        ):
            source[index]


def test_ids_outside_the_label_set(copy):
    spec, directory = copy
    (directory / "metadata.json").write_text('{"label_set": "subspace_parts"}')
    with pytest.raises(UserError, match=r"mask' holds the class id \d, but label set 'subspace_parts' ends at 4"):
        numbers(open_source(spec))


def test_photos_without_masks(tmp_path):
    prepare(tmp_path, {"image": PICTURE}, lambda k: {"image": encoded(photo(k), "JPEG")}, {"label_set": "lapa"})
    with pytest.raises(
        UserError, match=r"has no mask, a feature called mask or segmentation_mask or label, only: image"
    ):
        open_source(f"tfds:{tmp_path}#foreign?train")
    source = open_source(f"tfds:{tmp_path}#foreign?train", require_masks=False)
    assert source.read_mask(0) is None
    assert set(source[0]) == {"image"}


def test_no_image(tmp_path):
    prepare(tmp_path, {"photo": PICTURE}, lambda k: {"photo": encoded(photo(k), "JPEG")}, {"label_set": "lapa"})
    with pytest.raises(UserError, match="has no image feature called 'image', only: photo"):
        open_source(f"tfds:{tmp_path}#foreign?train")


@pytest.mark.parametrize("metadata", [None, "{}", '{"label_set": 3}', "[]"])
def test_without_a_label_set(copy, metadata):
    spec, directory = copy
    (directory / "metadata.json").unlink()
    if metadata is not None:
        (directory / "metadata.json").write_text(metadata)
    with pytest.raises(UserError, match=r"does not say what its ids mean: give its builder the metadata"):
        open_source(spec)


def test_misspelt_label_set(copy):
    spec, directory = copy
    (directory / "metadata.json").write_text('{"label_set": "lappa"}')
    with pytest.raises(UserError, match="did you mean 'lapa'"):
        open_source(spec)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json", "metadata.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "[" * 40000, None])
def test_broken_index_files(copy, file, content):
    spec, directory = copy
    (directory / file).unlink()
    if content is not None:
        (directory / file).write_text(content)
    with pytest.raises(
        UserError, match=r"1\.0\.0' is not a complete|features.json' does not exist|does not say what its ids mean"
    ):
        open_source(spec)


@pytest.mark.parametrize("key", ["pythonClassName", "type"])
def test_features_cannot_make_us_import_modules(copy, key, tmp_path, monkeypatch):
    spec, directory = copy
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(tmp_path)
    features = json.loads((directory / "features.json").read_text())
    features["featuresDict"]["features"]["image"] = {key: "hostile_module.Feature"}
    (directory / "features.json").write_text(json.dumps(features))
    with pytest.raises(UserError, match=r"asks for the foreign class hostile_module\.Feature"):
        open_source(spec)
    assert "hostile_module" not in sys.modules


def test_huge_features_file(copy):
    spec, directory = copy
    with (directory / "features.json").open("a") as file:
        file.write(" " * (1 << 20))
    with pytest.raises(UserError, match=r"features\.json' is longer than 1048576 bytes"):
        open_source(spec)


def test_tfrecord_is_refused(copy):
    spec, directory = copy
    info = directory / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(UserError, match=r"not prepared as ArrayRecord files: build it with `tfds build --file_format"):
        open_source(spec)


def damage_missing(shard):
    shard.unlink()


def damage_empty(shard):
    shard.write_bytes(b"")


def damage_truncated(shard):
    shard.write_bytes(shard.read_bytes()[:70_000])


def damage_bits(shard):
    content = bytearray(shard.read_bytes())
    content[65_600:65_700] = bytes(100)
    shard.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_missing, damage_empty, damage_truncated, damage_bits])
def test_damaged_shards(copy, damage):
    spec, directory = copy
    damage(next(directory.glob("*train.array_record*")))
    with pytest.raises(UserError, match=r"is damaged \(.*\): build"):
        numbers(open_source(spec))
