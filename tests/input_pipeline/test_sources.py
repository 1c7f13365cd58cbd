import concurrent.futures
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from input_pipeline import labels
from input_pipeline.cache import CachedSource, ShrunkSource
from input_pipeline.errors import UserError
from input_pipeline.layouts.source import LayoutSource
from input_pipeline.sources import Source, Spec, Subset, open_source, parse_spec, read_reduced


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
            "image": np.full((20, 30, 3), index, np.uint8),
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


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("folder:a/b", Spec("folder", "a/b", None, None, None)),
        ("folder:C:\\faces?val", Spec("folder", "C:\\faces", "val", None, None)),
        ("folder:odd?name?train", Spec("folder", "odd?name", "train", None, None)),
        ("synthetic:20?train[3:7]", Spec("synthetic", "20", "train", 3, 7)),
        ("synthetic:20?[:-5]", Spec("synthetic", "20", None, None, -5)),
        ("folder:d[1]?split-2.b[:]", Spec("folder", "d[1]", "split-2.b", None, None)),
    ],
)
def test_spec(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text", ["", "folder", "folder:", ":dir", "folder:d?", "folder:d?train[3]", "folder:d?a b", "synthetic:3?x[1:2:3]"]
)
def test_malformed_spec_shows_the_form(text):
    with pytest.raises(UserError, match=r"write KIND:WHERE\[\?SPLIT\], for example 'folder:faces\?train'"):
        parse_spec(text)


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


def test_misspelt_kind():
    with pytest.raises(UserError, match="did you mean 'folder'"):
        open_source("foldr:somewhere")


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


def test_reading_data_does_not_import_jax():
    modules = "sources, label_files, images, transforms, augment, cache, labels, layouts"
    layouts = "[layouts.get(name) for name in layouts.NAMES]"
    code = f"import sys; from input_pipeline import {modules}; {layouts}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
