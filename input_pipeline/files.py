"""Atomic writes (a file is complete or absent) and checks that a path can be written."""

import contextlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from input_pipeline.errors import UserError


def replace(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, then rename it to `path`.

    Raises:
      UserError: the write fails; nothing is left behind.
    """
    with replacing(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` for the caller to write to, renamed to `path` if the block succeeds.

    Raises:
      UserError: the write fails. Whatever is raised, nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            yield part
            os.replace(part, path)
        finally:
            # If the folder is missing or is a file itself, there is nothing to remove.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                part.unlink()
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}") from error


def replace_json(path: Path, content: object) -> None:
    """Write indented JSON as `replace` does; a number that JSON does not know (NaN, infinity) becomes null."""
    replace(path, (json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode())


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def home() -> Path | None:
    """Return the user's home folder; None without one, e.g. for a container's user unknown to the system."""
    found = os.path.expanduser("~")
    return Path(found) if os.path.isabs(found) else None


def local(path: Path) -> Path:
    """Check that the path is local, and return it.

    Raises:
      UserError: an address (`gs://bucket/run`), which would silently create folders called `gs:` and `bucket`.
    """
    if re.match(r"\w{2,}:/", os.fspath(path)):
        raise UserError(f"'{path}' is no local folder: write to a disk, then copy it there")
    return path


def writable_file(path: Path) -> Path:
    """Check that `path` is writable, creating its folder, before time is spent on the content; return it.

    Raises:
      UserError: the name is not possible, it is not on this machine, or its folder cannot be created or written.
    """
    local(path)
    if not path.name or path.is_dir():
        raise UserError(f"cannot write '{path}', which is a folder: name a file")
    writable_folder(path.parent)
    return path


def writable_folder(path: Path) -> Path:
    """Create the folder `path` and check that files can be written there, before time is spent; return it.

    Raises:
      UserError: it is not on this machine, or cannot be created or written.
    """
    local(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".l2s-"):
            return path
    except OSError as error:
        raise UserError(f"cannot write into the folder '{path}': {error.strerror or error}; choose another") from error
