"""Copies of records from a bucket; a local folder stands in for it behind the same fsspec interface."""

import os
import shutil
import threading

import numpy as np
import pytest
from etils import epath
from etils.epath import backend
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from input_pipeline.errors import UserError
from input_pipeline.readers.records import bucket as remote
from input_pipeline.readers.records import manifest
from input_pipeline.readers.records.prepare import prepare
from input_pipeline.readers.records.source import RecordsSource, splits
from tests.helpers.raw_faces import data, make_faces


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A folder whose `toys` are records of two splits in three shards each."""
    folder = tmp_path_factory.mktemp("bucket")
    raw = make_faces(folder / "raw", 9, side=32)
    prepare(data({"train": raw, "val": raw}), folder / "toys", jobs=1, shard_mb=1e-2)
    return folder


@pytest.fixture
def gs(bucket, monkeypatch, tmp_path):
    """gs://NAME/... is `bucket`/NAME/...; copies go into the folder that is returned."""

    class Bucket(DirFileSystem):
        protocol = ("gs", "gcs")

        def __init__(self, **options):
            super().__init__(path=str(bucket), fs=LocalFileSystem())

        @classmethod
        def _strip_protocol(cls, path):
            return path.removeprefix("gs://")

        def _join(self, path):
            return super()._join(self._strip_protocol(path))

    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", lambda name: Bucket())
    monkeypatch.setenv("L2S_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "records"


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_split_is_copied_once(gs, bucket):
    assert splits("gs://toys") == ("train", "val")
    assert not gs.exists()
    source = RecordsSource("gs://toys", "val")
    assert files_in(gs) == [f"val-0000{k}-of-00003.array_record" for k in range(3)] + ["val.names", "val.presence"]
    local = RecordsSource(bucket / "toys", "val")
    np.testing.assert_array_equal(source[4]["image"], local[4]["image"])
    assert tuple(source.names) == tuple(local.names)
    before = {path: path.stat().st_mtime_ns for path in gs.rglob("val*")}
    RecordsSource("gs://toys", "val")
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture
def train(bucket):
    """(directory, content of its manifest, files of the split `train`)."""
    content = (bucket / "toys" / manifest.FILE).read_bytes()
    return epath.Path(bucket / "toys"), content, manifest.from_json(content, "").splits["train"].files


def test_several_copy_at_once(train, tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(remote.local_copy(*train, tmp_path / "cache"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    for stored in train[2]:
        assert (found[0] / stored.file).read_bytes() == (train[0] / stored.file).read_bytes()


def test_an_interrupted_copy_goes_on(train, tmp_path):
    folder = remote.local_copy(*train, tmp_path)
    kept, lost = (folder / stored.file for stored in train[2][:2])
    time = kept.stat().st_mtime_ns
    lost.rename(folder / f".{lost.name}.1.part")
    remote.local_copy(*train, tmp_path)
    assert files_in(folder) == sorted(stored.file for stored in train[2])
    assert kept.stat().st_mtime_ns == time


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"x", lambda c: b"x" + c[1:]])
def test_other_files_than_described_get_no_name(train, tmp_path, damage):
    directory = shutil.copytree(train[0], tmp_path / "toys")
    victim = directory / train[2][1].file
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.raises(UserError, match=rf"{victim.name}' is not the file that its manifest describes"):
        remote.local_copy(epath.Path(directory), *train[1:], tmp_path / "cache")
    assert files_in(tmp_path / "cache") == [train[2][0].file]
    victim.unlink()
    with pytest.raises(UserError, match=rf"{victim.name}' does not exist: prepare the records again"):
        remote.local_copy(epath.Path(directory), *train[1:], tmp_path / "cache")


def test_too_little_room_is_said_before_copying(train, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"GB free: make room, or set L2S_CACHE to a folder on a larger disk"):
        remote.local_copy(*train, tmp_path / "cache")
    assert files_in(tmp_path / "cache") == []


def test_where_copies_lie(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert str(remote.cache_folder({"L2S_CACHE": "/x"})) == "/x/records"
    assert str(remote.cache_folder({})) == os.path.expanduser("~/.cache/l2s_jax/records")


def test_a_bucket_without_its_package(monkeypatch):
    def refuse(name):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", refuse)
    with pytest.raises(UserError, match=r"'gs://toys/manifest.json' cannot be reached \(Please install gcsfs"):
        splits("gs://toys")
