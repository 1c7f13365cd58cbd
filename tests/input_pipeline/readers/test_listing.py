import pytest
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.readers import listing


class Bucket:
    """A folder that the operating system does not know, as `epath` shows one of a bucket."""

    def __fspath__(self):
        return "gs://bucket/faces"

    def iterdir(self):
        return iter([epath.Path("gs://bucket/faces/b.png"), epath.Path("gs://bucket/faces/a.png")])


def test_entries_of_a_folder_are_sorted_and_not_hidden(tmp_path):
    for name in ("b.png", "a.png", "10", ".hidden", "._a.png"):
        (tmp_path / name).touch()
    assert listing.entries(epath.Path(tmp_path)) == ["10", "a.png", "b.png"]
    assert listing.entries(Bucket()) == ["a.png", "b.png"]


def test_what_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "nowhere"):
        with pytest.raises(UserError, match=f"the folder '.*{name}' does not exist: check the path"):
            listing.entries(epath.Path(tmp_path / name))


def test_text_is_read_whole_or_refused(tmp_path, monkeypatch):
    path = epath.Path(tmp_path / "index.txt")
    path.write_bytes("\ufeffJosé 1\r\n".encode())
    assert listing.read_text(path).split() == ["José", "1"]
    monkeypatch.setattr(listing, "_MAX_TEXT_BYTES", 8)
    with pytest.raises(UserError, match=r"index\.txt' is longer than"):
        listing.read_text(path)
    with pytest.raises(UserError, match=r"other\.txt' does not exist"):
        listing.read_text(path.parent / "other.txt")
    with pytest.raises(UserError, match="cannot be read"):
        listing.read_text(path.parent)
