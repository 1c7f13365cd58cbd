"""List folders and read small text files of raw downloads, on a disk or in a bucket."""

import os

from etils import epath

from input_pipeline import files
from input_pipeline.errors import UserError, printable
from input_pipeline.types import Problem

_MAX_TEXT_BYTES = 1 << 26  # the largest index of the known downloads (CelebA's partition) has 3 MB


def entries(folder: epath.Path) -> list[str]:
    """Return the sorted names of a folder's entries, without hidden ones.

    Names, not paths: a download has up to 400,000 files, and that many path objects cost seconds and memory.

    Raises:
      UserError: no such folder, or no permission to read it.
    """
    path = os.fspath(folder)
    with files.reading(folder, "check the path and its rights", what="the folder"):
        names = [entry.name for entry in folder.iterdir()] if "://" in path else os.listdir(path)
    return sorted(name for name in names if not name.startswith("."))


def stray(folder: epath.Path, name: str, reason: str) -> Problem:
    """Return the problem of a folder entry that belongs to no face; control characters in its name are escaped."""
    shown = printable(name)
    return Problem(shown, f"{os.fspath(folder)}/{shown}", reason)


def read_text(path: epath.Path) -> str:
    """Read an index or landmark file (UTF-8).

    Raises:
      UserError: no such file, unreadable, not text, or longer than 64 MB.
    """
    try:
        return files.read_limited(path, _MAX_TEXT_BYTES, "text file of a download").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not a text file: replace it by the one of the download") from error
