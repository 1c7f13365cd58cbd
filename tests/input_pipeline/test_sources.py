import concurrent.futures
import pickle
import shutil
import subprocess
import sys
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from input_pipeline import labels
from input_pipeline.datasets import open_mixture, open_source, open_splits
from input_pipeline.errors import UserError
from input_pipeline.loading.views import CachedSource, ShrunkSource
from input_pipeline.readers.downloads.source import LayoutSource
from input_pipeline.readers.records.prepare import open_data, prepare
from input_pipeline.selection import Subset, presence
from input_pipeline.types import Source, problems, read_mask, read_reduced, stored_presence


class NumberedSource:
    """Example i is a 20 x 30 picture of the value i; counts how often it is read."""

    def __init__(self, count):
        self.label_set = labels.CELEBAMASK
        self.names = [f"face{i}" for i in range(count)]
        self.reads = []

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        self.reads.append(index)
        return {
            "image": np.full((20, 30, 3), index % 256, np.uint8),
            "mask": np.full((20, 30), index % 19, np.uint8),
            "landmarks": np.float32([[15, 10]]),
        }


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
            for k in range(count):
                Image.new("RGB" if kind == "images" else "L", (8, 8)).save(tmp_path / split / kind / f"{k}.png")
    return tmp_path


class MemoryBucket(MemoryFileSystem):
    """A bucket of this process."""

    protocol = "gcs"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]


@pytest.fixture
def bucket(folder):
    """The address of a copy of the folder whose masks hold the number of the face."""
    fsspec.register_implementation("gcs", MemoryBucket, clobber=True)
    root = epath.Path("gs://faces/small")
    for path in folder.rglob("*.png"):
        if path.parent.name == "masks":
            Image.new("L", (8, 8), int(path.stem)).save(path)
        copy = root / path.relative_to(folder).as_posix()
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return root


def test_open_folder(folder):
    source = open_source(f"folder:{folder}?train")
    assert isinstance(source, LayoutSource)
    assert isinstance(source, Source)
    assert len(source) == 6


def test_open_slice_of_a_folder(folder):
    held_out = open_source(f"folder:{folder}?train[4:]")
    assert held_out.names == ("4", "5")
    assert len(open_source(f"folder:{folder}?train[:-1]")) == 5
    assert isinstance(held_out, Source)
    with pytest.raises(UserError, match=r"slice \[7:9\] of 6 examples is empty"):
        open_source(f"folder:{folder}?train[7:9]")


def test_slice_of_data_without_splits(folder):
    assert open_source(f"folder:{folder / 'train'}[1:3]").names == ("1", "2")
    assert open_source("synthetic:9[-2:]", size=16).names == open_source("synthetic:9?train[-2:]", size=16).names
    assert {split: len(source) for split, source in open_splits(f"folder:{folder}[:1]").items()} == {
        "train": 1,
        "val": 1,
    }
    with pytest.raises(UserError, match="divided into splits: name one of train, val"):
        open_source(f"folder:{folder}[0:5]")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("foldr", "did you mean 'folder'?"),
        ("celebamask", "did you mean 'celebamask_hq'?"),
        ("record", "did you mean 'records'?"),
        ("zzz", "there are: celebamask_hq, .*, folder, .*, synthetic, random, records, tfds\\)$"),
        ("celebamask_hq/fral", "unknown variant 'fral' of layout 'celebamask_hq' .*did you mean 'farl'"),
        ("lapa/official", "unknown variant 'official' of layout 'lapa'"),
    ],
)
def test_misspelt_kind(kind, sentence):
    with pytest.raises(UserError, match=sentence):
        open_source(f"{kind}:somewhere?train")


@pytest.mark.parametrize("kind", ["folder", "lapa", "celebamask_hq/farl"])
def test_folder_that_is_not_there(tmp_path, kind):
    with pytest.raises(UserError, match=r"the folder '.*/nowhere' does not exist: check the path"):
        open_source(f"{kind}:{tmp_path / 'nowhere'}?train")


def test_splits_are_named(folder):
    with pytest.raises(UserError, match=r"is divided into splits: name one of train, val, as in 'folder:.*\?train'"):
        open_source(f"folder:{folder}")
    with pytest.raises(UserError, match=r"has no split 'test': name one of train, val, as in 'folder:.*\?train'"):
        open_source(f"folder:{folder}?test")
    with pytest.raises(UserError, match="is not divided into splits"):
        open_source(f"folder:{folder / 'train'}?train")


def test_every_kind_says_the_same_of_its_splits(folder):
    with pytest.raises(UserError, match=r"is not divided into splits: leave '\?train' out, as in 'folder:.*val'"):
        open_source(f"folder:{folder / 'val'}?train")


@pytest.mark.parametrize("spec", ["folder:{}", "lapa:{}?train", "celebamask_hq:{}"])
def test_records_that_are_taken_for_a_download_are_named(folder, tmp_path, spec):
    prepare(open_data(str(folder), "folder"), tmp_path / "records", jobs=1)
    spec = spec.format(tmp_path / "records")
    for open_it in (open_source, open_splits):
        with pytest.raises(UserError, match=r"holds records: name them as 'records:.*/records'"):
            open_it(spec)


def test_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(open_source(f"folder:~/{folder.name}?val")) == 2


def test_every_split(folder):
    assert {split: len(source) for split, source in open_splits(f"folder:{folder}").items()} == {"train": 6, "val": 2}
    assert {split: len(source) for split, source in open_splits(f"folder:{folder}?val").items()} == {"val": 2}
    assert {split: len(source) for split, source in open_splits(f"folder:{folder / 'val'}").items()} == {"": 2}
    sliced = open_splits(f"folder:{folder}?[1:]")
    assert {split: source.names for split, source in sliced.items()} == {
        "train": ("1", "2", "3", "4", "5"),
        "val": ("1",),
    }
    with pytest.raises(UserError, match="has no split 'test'"):
        open_splits(f"folder:{folder}?test")


def test_splits_of_synthetic_faces():
    assert list(open_splits("synthetic:3")) == [""]
    (source,) = open_splits("synthetic:3?val", size=16, seed=4).values()
    assert tuple(source.names) == ("val-000000", "val-000001", "val-000002")
    assert (source.size, source.seed) == (16, 4)


def test_incomplete_faces_are_left_out_on_request(folder):
    (folder / "train" / "masks" / "4.png").unlink()
    with pytest.raises(UserError, match=r"4\.png' has no mask"):
        open_source(f"folder:{folder}?train")
    source = open_source(f"folder:{folder}?train[3:]", strict=False)
    assert source.names == ("3", "5")
    assert [problem.name for problem in problems(source)] == ["4"]
    assert problems(open_source("synthetic:3")) == ()


def test_bucket(bucket):
    source = open_source(f"folder:{bucket}?val")
    assert source.names == ("0", "1")
    assert source[1]["mask"].max() == 1
    assert list(open_splits(f"folder:{bucket}")) == ["train", "val"]
    with pytest.raises(UserError, match=r"the folder 'gs://faces/nowhere' does not exist"):
        open_source("folder:gs://faces/nowhere?val")


@pytest.mark.parametrize("spec", ["folder:s3://b/d?train", "records:s3://b/d?train", "tfds:s3://b/d#lapa?train"])
def test_bucket_without_its_package(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"'s3://b/d.*' cannot be reached \(.*s3fs.*\): install the package"):
        open_source(spec)


@pytest.mark.parametrize("count", ["0", "-3", "many", "1e3", "99999999999999", "²"])
def test_synthetic_needs_a_number_of_faces(count):
    with pytest.raises(UserError, match="is not a number of faces"):
        open_source(f"synthetic:{count}")


def test_subset_is_a_window():
    source = NumberedSource(10)
    subset = Subset(source, 2, -3)
    assert len(subset) == 5
    assert list(subset.names) == [f"face{i}" for i in range(2, 7)]
    assert [subset[i]["image"][0, 0, 0] for i in range(5)] == [2, 3, 4, 5, 6]
    assert subset.label_set is source.label_set
    with pytest.raises(IndexError):
        subset[5]


def test_subset_passes_reduced_reading_on(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for k in range(3):
            Image.new("RGB" if kind == "images" else "L", (64, 64)).save(
                tmp_path / kind / f"{k}.{'jpg' if kind == 'images' else 'png'}"
            )
    subset = Subset(open_source(f"folder:{tmp_path}"), 1, None)
    assert read_reduced(subset, 0, 16)["image"].shape == (16, 16, 3)
    assert read_reduced(NumberedSource(1), 0, 16)["image"].shape == (20, 30, 3)


def test_presence_by_hand():
    source = NumberedSource(600)  # more than one task of a thread
    np.testing.assert_array_equal(presence(source, threads=3), np.eye(19, dtype=bool)[np.arange(600) % 19])
    np.testing.assert_array_equal(presence(Subset(source, 20, 22)), np.eye(19, dtype=bool)[[1, 2]])


def test_presence_of_ignored_pixels_and_of_no_mask(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    np.testing.assert_array_equal(
        presence(open_source(f"folder:{tmp_path}", require_masks=False)), np.zeros((1, 19), bool)
    )
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.uint8([[255] * 8] * 7 + [[13] * 8])).save(tmp_path / "masks" / "a.png")
    assert np.flatnonzero(presence(open_source(f"folder:{tmp_path}"))[0]).tolist() == [13]


def test_presence_names_a_damaged_mask(folder):
    (folder / "train" / "masks" / "3.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"3\.png' is not a readable image"):
        presence(open_source(f"folder:{folder}?train"))


def test_presence_reads_no_photo(folder):
    source = open_source(f"folder:{folder}?train")
    shutil.rmtree(folder / "train" / "images")
    assert presence(source)[:, 0].all()
    np.testing.assert_array_equal(read_mask(Subset(source, 2, None), 0), np.zeros((8, 8)))


class StoredSource(NumberedSource):
    def presence(self):
        return np.eye(19, dtype=bool)[np.arange(len(self))[::-1]]


def test_stored_presence_counts():
    source = StoredSource(6)
    np.testing.assert_array_equal(presence(Subset(Subset(source, 1, None), 1, 3)), np.eye(19, dtype=bool)[[3, 2]])
    assert not source.reads
    assert stored_presence(Subset(NumberedSource(3), 0, 2)) is None


def test_mixture(folder):
    parts = open_mixture(f"0.7*folder:{folder}?train + 3e-1*synthetic:20?[2:] + synthetic:5", size=16)
    assert [part.weight for part in parts] == [0.7, 0.3, 1.0]
    assert [len(part.source) for part in parts] == [6, 18, 5]
    assert parts[2].source[0]["image"].shape == (16, 16, 3)
    assert [part.weight for part in open_mixture("synthetic:4")] == [1.0]


def test_mixture_leaves_paths_alone(tmp_path):
    for name in ("a+b", "2*c"):
        for kind in ("images", "masks"):
            (tmp_path / name / kind).mkdir(parents=True)
            Image.new("RGB" if kind == "images" else "L", (8, 8)).save(tmp_path / name / kind / "0.png")
    parts = open_mixture(f"folder:{tmp_path}/a+b + 2 * folder:{tmp_path}/2*c")
    assert [(part.weight, len(part.source)) for part in parts] == [(1.0, 1), (2.0, 1)]


@pytest.mark.parametrize("weight", ["-1", "0", "nan", "inf", "a lot", "", "0.5*2", "1e999"])
def test_weight_that_is_no_positive_number(weight):
    with pytest.raises(UserError, match=r"the weight '.*' in '.*' is not a positive number: write for example '0\.7\*"):
        open_mixture(f"{weight}*synthetic:4 + synthetic:3")


@pytest.mark.parametrize(
    "text", ["", "synthetic:4 + ", " + synthetic:4", "synthetic:4 +  + synthetic:4", "2* + synthetic:4"]
)
def test_empty_part(text):
    with pytest.raises(UserError, match="has an empty part"):
        open_mixture(text)


def test_mixture_of_unknown_parts():
    with pytest.raises(UserError, match="did you mean 'synthetic'"):
        open_mixture("synthetic:4 + 2*syntetic:3")


def test_shrunk_source_moves_everything():
    example = ShrunkSource(NumberedSource(4), 15)[3]
    assert example["image"].shape == (10, 15, 3)
    assert example["mask"].shape == (10, 15)
    np.testing.assert_array_equal(example["landmarks"], [[7.5, 5.0]])


def test_cache_reads_each_example_once():
    source = NumberedSource(5)
    cached = CachedSource(source, 15)
    for _ in range(3):
        for i in range(5):
            np.testing.assert_array_equal(cached[i]["image"], ShrunkSource(NumberedSource(5), 15)[i]["image"])
    assert sorted(source.reads) == [0, 1, 2, 3, 4]


def test_cached_arrays_cannot_be_spoilt():
    cached = CachedSource(NumberedSource(2), 15)
    with pytest.raises(ValueError, match="read-only"):
        cached[1]["image"][0] = 9
    cached[1]["image"] = None
    assert cached[1]["image"].shape == (10, 15, 3)


def test_cache_serves_threads():
    cached = CachedSource(NumberedSource(50), 15)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda i: int(cached[i % 50]["image"][0, 0, 0]), range(400)))
    assert values == [i % 50 for i in range(400)]


def test_cache_refuses_too_much_memory():
    with pytest.raises(
        UserError, match=r"keeping 100000 examples at 30 px .* 0\.2 GiB, more than the limit of 0\.1 GiB"
    ):
        CachedSource(NumberedSource(100_000), 30, memory_limit=2**27)


def test_cache_travels_empty():
    cached = CachedSource(NumberedSource(3), 15)
    copy = pickle.loads(pickle.dumps(cached))  # noqa: S301 - our own bytes
    copy.source.source.reads.clear()
    assert copy[0]["image"].shape == (10, 15, 3)
    assert copy.source.source.reads == [0]


def loaded(code):
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    code = f"{code}\nimport sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_reading_data_does_not_import_jax():
    assert "jax" not in loaded(
        "from input_pipeline import audit, datasets, labels\n"
        "from input_pipeline.audit import issues\n"
        "from input_pipeline.images import augment, decode, framing, geometry\n"
        "from input_pipeline.loading import eval, views"
    )


def test_opening_imports_what_it_needs():
    """The command line asks for kinds before anything heavy is there."""
    heavy = {"tensorflow_datasets", "scipy", "array_record", "grain", "input_pipeline.readers.downloads.source"}
    assert not heavy & loaded("from input_pipeline import datasets")
    assert not heavy & loaded("from input_pipeline.datasets import open_source; open_source('synthetic:3')[0]")
