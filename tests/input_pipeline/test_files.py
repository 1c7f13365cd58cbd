import json
from pathlib import Path

import pytest

from input_pipeline import files
from input_pipeline.errors import UserError


def test_replace_writes_whole_files(tmp_path):
    path = tmp_path / "a.bin"
    files.replace(path, b"one")
    files.replace(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_json_knows_no_nan(tmp_path):
    files.replace_json(tmp_path / "a.json", {"a": [1.5, float("nan")], "b": (float("inf"),)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None], "b": [None]}


def test_a_parent_that_is_a_file_or_missing_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write '.*file/a': Not a directory"):
        files.replace(tmp_path / "file" / "a", b"x")
    with pytest.raises(UserError, match=r"cannot write '.*none/a': No such file"):
        files.replace(tmp_path / "none" / "a", b"x")
    with pytest.raises(UserError, match="cannot write into the folder"):
        files.writable_folder(tmp_path / "file" / "a")


@pytest.mark.parametrize("path", ["", ".", "/", "folder", "file/a.json"])
def test_a_name_that_no_file_can_have_is_refused_before_any_work(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write"):
        files.writable_file(Path(path))


@pytest.mark.parametrize("make", [files.writable_file, files.writable_folder, files.local])
@pytest.mark.parametrize("path", ["gs://bucket/run", "gs:/run.json", "https://host/a/b", "hdfs:///a"])
def test_addresses_are_no_places_to_write(tmp_path, monkeypatch, make, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is not on this machine: use a local folder and copy it, or mount"):
        make(Path(path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["a:b/c", "run/gs:/x", "c:/x", "."])
def test_odd_names_are_local(path):
    assert files.local(Path(path)) == Path(path)


def test_a_file_that_can_be_written_keeps_what_it_holds(tmp_path):
    (tmp_path / "a.json").write_bytes(b"old")
    assert files.writable_file(tmp_path / "a.json") == tmp_path / "a.json"
    assert files.writable_file(tmp_path / "new" / "b.json").parent.is_dir()
    assert (tmp_path / "a.json").read_bytes() == b"old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.bin"
    files.replace(path, b"old")

    def write():
        with files.replacing(path) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_read_up_to_its_limit_or_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345678")
    assert files.read_limited(path, 8, "number") == b"12345678"
    with pytest.raises(UserError, match=r"a\.json' is longer than 7 bytes, which no number is: replace it$"):
        files.read_limited(path, 7, "number", remedy="replace it")
    with pytest.raises(UserError, match=r"none\.json' does not exist: check the path and the file$"):
        files.read_limited(tmp_path / "none.json", 8, "number")
    with pytest.raises(UserError, match=r"' cannot be read \(Is a directory\): check"):
        files.read_limited(tmp_path, 8, "number")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(UserError, match=r"link' is a link to 'gone', which does not exist: check"):
        files.read_limited(tmp_path / "link", 8, "number")


@pytest.mark.parametrize("text", ["", "[1]", '{"a": ', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "9" * 5000])
def test_anything_but_an_object_of_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1]}')
    assert files.read_object(path, 2**20, "list", remedy="replace it") == {"a": [1]}
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json' is damaged, no list \(.+\): replace it$"):
        files.read_object(path, 2**20, "list", remedy="replace it")


def test_an_address_without_its_package_is_named():
    def read():
        raise ImportError("install gcsfs")

    refused = pytest.raises(UserError, match=r"^the folder 'gs://b/x' cannot be reached \(install gcsfs\): install the")
    with refused, files.reading("gs://b/x", "check it", what="the folder"):
        read()


def test_checksums_are_those_of_the_content(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
