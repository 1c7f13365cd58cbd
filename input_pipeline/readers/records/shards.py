"""Writing of one shard and of its index, a small file beside it: if the index is there, the shard is done."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE
from input_pipeline.readers.downloads.layout import RawSplit
from input_pipeline.readers.records import face
from input_pipeline.readers.records.plan import Shard
from input_pipeline.types import Problem

# Groups of one record are best for random access. Photos and masks are already compressed.
_OPTIONS = "group_size:1,uncompressed,max_parallelism:1"


class Contents(NamedTuple):
    """The index of a shard of N faces.

    Attributes:
      digest: `plan.Shard.digest` of the shard.
      file: name of the shard.
      bytes, sha256: of that file.
      names: N names.
      sizes: int64 [N, 2] height and width of the photos, pixels.
      labelled: number of faces with a mask.
      pixels: int64 [256], how often each id occurs in the masks.
      presence: bool [N, K], which classes each face shows.
      broken: the faces that are left out.
    """

    digest: str
    file: str
    bytes: int
    sha256: str
    names: tuple[str, ...]
    sizes: np.ndarray
    labelled: int
    pixels: np.ndarray
    presence: np.ndarray
    broken: tuple[Problem, ...]


def write(folder: Path, shard: Shard, raw: RawSplit, size: int | None, tick: Callable[[bool], None]) -> None:
    """Read the faces of a shard and write it into `folder`, then its index.

    A finished shard is not written again, unless one of its broken faces has changed.

    Args:
      folder: of the records.
      shard: what to write.
      raw: its split.
      size: see `face.read`.
      tick: called after each face, with whether it is broken; an exception from it stops the work and leaves no shard.

    Raises:
      UserError: the write fails. Broken faces raise nothing.
    """
    before = contents(folder, shard)
    if before is not None and _is_as_before(before, shard, raw, size):
        known = {problem.name for problem in before.broken}
        for index in shard.faces:
            tick(raw.names[index] in known)
        return
    path = folder / f"{shard.stem}.array_record"
    classes = len(raw.label_set)
    names, sizes, broken, labelled = [], [], [], 0
    pixels, presence = np.zeros(IGNORE + 1, np.int64), []
    # While a shard is rewritten it is not done until its new index is written.
    _contents_path(folder, shard).unlink(missing_ok=True)
    with files.replacing(path) as part:
        with _Writer(part, path) as writer:
            for index in shard.faces:
                found = face.read(raw, index, size)
                tick(isinstance(found, Problem))
                if isinstance(found, Problem):
                    broken.append(found)
                    continue
                writer.write(found.record)
                counts = np.zeros_like(pixels) if found.pixels is None else found.pixels
                names.append(raw.names[index])
                sizes.append(found.size)
                labelled += found.pixels is not None
                pixels += counts
                presence.append(counts[:classes] > 0)
        length, digest = _seal(part)
    made = Contents(
        digest=shard.digest,
        file=path.name,
        bytes=length,
        sha256=digest,
        names=tuple(names),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        labelled=labelled,
        pixels=pixels,
        presence=np.array(presence, bool).reshape(-1, classes),
        broken=tuple(broken),
    )
    files.replace(_contents_path(folder, shard), _to_json(made))


def contents(folder: Path, shard: Shard) -> Contents | None:
    """Read the index of a shard; None if the shard is unfinished, belongs to another plan, or its index was edited."""
    try:
        found = _from_json(_contents_path(folder, shard).read_bytes())
        path = folder / f"{shard.stem}.array_record"
        done = (found.digest, found.file, found.bytes) == (shard.digest, path.name, path.stat().st_size)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return found if done else None


def _is_as_before(before: Contents, shard: Shard, raw: RawSplit, size: int | None) -> bool:
    """Return whether every broken face is still broken for the same reason."""
    index = {raw.names[index]: index for index in shard.faces}
    return all(face.read(raw, index[problem.name], size) == problem for problem in before.broken)


class _Writer:
    """An ArrayRecordWriter whose errors become UserErrors of one sentence; use it as a context manager."""

    def __init__(self, part: Path, path: Path):
        self._path = path
        self._writer = self._checked(ArrayRecordWriter, os.fspath(part), _OPTIONS)

    def write(self, record: bytes) -> None:
        self._checked(self._writer.write, record)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_) -> None:
        self._checked(self._writer.close)

    def _checked(self, function: Callable, *args):
        try:
            return function(*args)
        except RuntimeError as error:
            reason = str(error).partition(";")[0]
            raise UserError(f"cannot write '{self._path}': {reason}; make room and run the same again") from error


def _seal(path: Path) -> tuple[int, str]:
    """Flush a file to disk and return (bytes, sha256): a power failure must not leave a finished shard of zeros."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _contents_path(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.stem}.json"


def _to_json(found: Contents) -> bytes:
    arrays = {
        "sizes": found.sizes.tolist(),
        "pixels": found.pixels.tolist(),
        "presence": [np.flatnonzero(row).tolist() for row in found.presence],
        "classes": found.presence.shape[1],
    }
    content = {**found._asdict(), **arrays}
    return json.dumps({"check": _check(content), "contents": content}).encode()


def _check(content: dict) -> str:
    """Compute a checksum of the JSON of `Contents`, which detects manual edits of the index."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _from_json(text: bytes) -> Contents:
    told = json.loads(text)
    content = told["contents"]
    if told["check"] != _check(content):
        raise ValueError("these contents are not those that were written")
    presence = np.zeros((len(content["names"]), content.pop("classes")), bool)
    for row, ids in zip(presence, content["presence"], strict=True):
        row[ids] = True
    return Contents(
        **{
            **content,
            "names": tuple(content["names"]),
            "sizes": np.array(content["sizes"], np.int64).reshape(-1, 2),
            "pixels": np.array(content["pixels"], np.int64),
            "presence": presence,
            "broken": tuple(Problem(*problem) for problem in content["broken"]),
        }
    )
