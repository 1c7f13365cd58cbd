"""The gates of the file system: bounded reads of untrusted files, atomic writes (a file is complete or absent).

Behind `read_object`, `read_limited` and `reading`, a file's errors are one sentence; behind `writable_file` and
`writable_folder`, a path can be written.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from etils import epath

from input_pipeline.errors import UserError, clipped, require


@contextlib.contextmanager
def reading(path: str | os.PathLike, remedy: str, *, what: str = "") -> Iterator[None]:
    """Convert the errors of reading `path` inside the block to one sentence.

    Args:
      path: local, or an address like gs://bucket/folder.
      remedy: the end of the sentence, what to do about it ("check the path").
      what: a noun before the path ("the folder").

    Raises:
      UserError: `path` is missing, may not be read, or the package that reads such an address is not installed.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        if isinstance(error, ImportError):
            reason = f"cannot be reached ({error}): install the package that reads such paths"
        elif not isinstance(error, FileNotFoundError | NotADirectoryError):
            reason = f"cannot be read ({error.strerror or error}): {remedy}"
        else:
            link = f"is a link to {os.readlink(path)!a}, which " if os.path.islink(path) else ""
            reason = f"{link}does not exist: {remedy}"
        raise UserError(" ".join(filter(None, (what, f"'{os.fspath(path)}'", reason)))) from error


def read_limited(path: epath.PathLike, limit: int, what: str, *, remedy: str = "check the path and the file") -> bytes:
    """Read an untrusted file whole, or refuse it.

    Args:
      path: local, or in a bucket.
      limit: most bytes that are read.
      what: what such a file is, for the sentence ("label map").
      remedy: see `reading`.

    Raises:
      UserError: longer than `limit` bytes, and as `reading`.
    """
    with reading(path, remedy), epath.Path(path).open("rb") as file:
        content = file.read(limit + 1)
    require(len(content) <= limit, f"'{path}' is longer than {limit} bytes, which no {what} is: {remedy}")
    return content


def read_object(path: epath.PathLike, limit: int, what: str, *, remedy: str) -> dict:
    """Read an untrusted file that holds one JSON object.

    Args:
      path, limit, what, remedy: see `read_limited`.

    Raises:
      UserError: it holds anything else, or nests too deep to be written again; and as `read_limited`.
    """
    text = read_limited(path, limit, what, remedy=remedy)
    found, fault = None, "it is no JSON object"
    try:
        found = json.loads(text)
        json.dumps(found, indent=1)
    except (ValueError, RecursionError) as error:
        found, fault = None, clipped(error)
    require(isinstance(found, dict), f"'{path}' is damaged, no {what} ({fault}): {remedy}")
    return found


def existing_folder(where: str | os.PathLike) -> epath.Path:
    """Return the folder at a local path or in a bucket; expand `~`, which a shell leaves alone in `folder:~/faces`.

    Raises:
      UserError: there is none, or it cannot be reached.
    """
    path = epath.Path(where).expanduser()
    with reading(where, "check the path", what="the folder"):
        if not path.is_dir():
            raise FileNotFoundError
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a local file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def user_cache() -> Path | None:
    """Return the folder of files that can be made again: $XDG_CACHE_HOME/l2s_jax, else ~/.cache/l2s_jax.

    None without a home folder. A relative $XDG_CACHE_HOME counts as none, as its specification says.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(chosen) if os.path.isabs(chosen) else (home() or Path()) / ".cache"
    return folder / "l2s_jax" if folder.is_absolute() else None


def local(path: Path) -> Path:
    """Check that the path is local, and return it.

    Raises:
      UserError: an address (`gs://bucket/run`), which would silently create folders called `gs:` and `bucket`.
    """
    if address := re.match(r"(\w{2,}):/+", os.fspath(path)):
        place = f"{address[1]}://{os.fspath(path)[address.end() :]}"
        raise UserError(f"'{place}' is not on this machine: use a local folder and copy it, or mount the bucket")
    return path


def writable_file(path: Path) -> Path:
    """Check that `path` is writable, creating its folder, before time is spent on the content; return it.

    Raises:
      UserError: the name is not possible, it is not on this machine, or its folder cannot be created or written.
    """
    local(path)
    require(path.name and not path.is_dir(), f"cannot write '{path}', which is a folder: name a file")
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
