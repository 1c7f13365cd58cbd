"""TFDS data sets are built of raw downloads and read back, both without TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

from input_pipeline.datasets import open_source, open_splits
from input_pipeline.readers import downloads
from input_pipeline.readers.tfds.builders import build, main
from input_pipeline.selection import presence
from input_pipeline.types import licence
from tests.helpers.celebamask_fixture import write_celebamask_hq
from tests.helpers.helen_fixture import write_helen
from tests.helpers.lapa_fixture import write_lapa


def assert_same_faces(prepared, raw):
    assert tuple(prepared.names) == tuple(raw.names)
    assert prepared.label_set is raw.label_set
    for index in range(len(raw)):
        expected, found = raw[index], prepared[index]
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=f"{key} of {raw.names[index]}")
            assert found[key].dtype == value.dtype


@pytest.mark.parametrize(
    ("name", "write"),
    [("lapa", write_lapa), ("helen", write_helen), ("celebamask_hq/farl", write_celebamask_hq)],
)
def test_round_trip(tmp_path, name, write):
    (tmp_path / "download").mkdir()
    write(tmp_path / "download")
    spec = build(name, tmp_path / "download", tmp_path / "tfds")
    assert spec == f"tfds:{tmp_path / 'tfds'}#{name}"
    prepared, raw = open_splits(spec), open_splits(f"{name}:{tmp_path / 'download'}")
    assert prepared.keys() == raw.keys()
    for split in raw:
        assert_same_faces(prepared[split], raw[split])
        assert licence(prepared[split]) == licence(raw[split]) == downloads.get(name)[0].licence
    np.testing.assert_array_equal(presence(prepared["train"]), presence(raw["train"]))
    reduced = prepared["train"].read_reduced(0, 20)
    assert reduced["image"].shape[0] < raw["train"][0]["image"].shape[0]
    np.testing.assert_array_equal(reduced["image"], raw["train"].read_reduced(0, 20)["image"])


def test_neither_building_nor_reading_imports_tensorflow(tmp_path):
    (tmp_path / "download").mkdir()
    write_helen(tmp_path / "download")
    code = (
        "import sys\n"
        "from input_pipeline.datasets import open_source\n"
        "from input_pipeline.readers.tfds.builders import main\n"
        f"assert main(['helen', {str(tmp_path / 'download')!r}, '--data-dir', {str(tmp_path / 'tfds')!r}]) == 0\n"
        f"open_source('tfds:{tmp_path / 'tfds'}#helen?test')[0]\n"
        "sys.exit('tensorflow' in sys.modules or 'jax' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"read it as 'tfds:{tmp_path / 'tfds'}#helen?SPLIT'" in done.stdout


def test_helen_without_landmarks(tmp_path):
    (tmp_path / "download").mkdir()
    write_helen(tmp_path / "download")
    (tmp_path / "download" / "helen" / "landmarks.txt").unlink()
    spec = build("helen", tmp_path / "download", tmp_path / "tfds")
    assert set(open_source(f"{spec}?test")[0]) == {"image", "mask"}


def test_celebamask_without_a_partition_is_one_split(tmp_path):
    (tmp_path / "download").mkdir()
    write_celebamask_hq(tmp_path / "download", {0: "train", 7: "val"}, partition=False)
    spec = build("celebamask_hq", tmp_path / "download", tmp_path / "tfds")
    assert spec.endswith("#celebamask_hq/official")
    splits = open_splits(spec)
    assert {split: len(source) for split, source in splits.items()} == {"train": 2}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hellen", "unknown TFDS builder 'hellen' (did you mean 'helen'?)"),
        ("lapa/official", "unknown config 'official' of TFDS builder 'lapa' (there are: none)"),
        ("celebamask_hq/ofic", "unknown config 'ofic' of TFDS builder 'celebamask_hq' (did you mean 'official'?)"),
        ("lapa", "nowhere' does not exist"),
    ],
)
def test_impossible_requests(tmp_path, capsys, name, sentence):
    assert main([name, str(tmp_path / "nowhere"), "--data-dir", str(tmp_path / "tfds")]) == 2
    assert sentence in capsys.readouterr().err


def test_a_damaged_photo_is_named_and_nothing_is_prepared(tmp_path, capsys):
    (tmp_path / "download").mkdir()
    write_lapa(tmp_path / "download")
    photo = next((tmp_path / "download" / "LaPa" / "test" / "images").iterdir())
    photo.write_bytes(photo.read_bytes()[:300])
    assert main(["lapa", str(tmp_path / "download"), "--data-dir", str(tmp_path / "tfds")]) == 2
    assert f"'{photo}' is damaged" in capsys.readouterr().err
    assert not list((tmp_path / "tfds" / "lapa").glob("*.*.*"))
