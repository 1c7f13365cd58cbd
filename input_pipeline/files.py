"""Writing files that are there whole or not at all."""

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
      UserError: the disk refuses; nothing is left behind.
    """
    with replacing(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` for the caller to write to, renamed to `path` when the block ends well.

    Raises:
      UserError: the disk refuses. Whatever is raised, nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            yield part
            os.replace(part, path)
        finally:
            # Where the folder is missing or is a file itself there is nothing to remove.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                part.unlink()
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}") from error


def replace_json(path: Path, content: object) -> None:
    """`replace` with indented JSON; a number that JSON does not know (NaN, infinity) becomes null."""
    replace(path, (json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode())


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def home() -> Path | None:
    """The user's home folder; None where there is none, as for a container's user that the system does not know."""
    found = os.path.expanduser("~")
    return Path(found) if os.path.isabs(found) else None


def local(path: Path) -> Path:
    """The path, which is one of this machine.

    Raises:
      UserError: an address (`gs://bucket/run`), which would silently become folders called `gs:` and `bucket`.
    """
    if re.match(r"\w{2,}:/", os.fspath(path)):
        raise UserError(f"'{path}' is no local folder: write to a disk, then copy it there")
    return path


def writable_file(path: Path) -> Path:
    """Try that a file could be written to `path`, making its folder, before work is spent on what goes into it.

    Raises:
      UserError: no file can have that name, it is not on this machine, or its folder cannot be made or written.
    """
    local(path)
    if not path.name or path.is_dir():
        raise UserError(f"cannot write '{path}', which is a folder: name a file")
    writable_folder(path.parent)
    return path


def writable_folder(path: Path) -> Path:
    """Make the folder `path` and try that files can be written there, before work is spent.

    Raises:
      UserError: it is not on this machine, or cannot be made or written.
    """
    local(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".l2s-"):
            return path
    except OSError as error:
        raise UserError(f"cannot write into the folder '{path}': {error.strerror or error}; choose another") from error
