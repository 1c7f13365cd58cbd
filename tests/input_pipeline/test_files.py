import json

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
