"""Write one shard and its index, a small file beside it: if the index is there, the shard is done."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded, assemble, jpeg, png
from input_pipeline.images.geometry import shrink
from input_pipeline.labels import IGNORE
from input_pipeline.readers.downloads.layout import RawSplit
from input_pipeline.readers.records import message
from input_pipeline.readers.records.plan import Shard
from input_pipeline.types import Problem

MAX_PHOTO_BYTES = 1 << 29
"""Maximum size of a photo file, bytes; no photo of at most `decode.MAX_PIXELS` needs more."""

_MAX_NAME_BYTES = 255
# Groups of one record are best for random access. Photos and masks are already compressed.
_OPTIONS = "group_size:1,uncompressed,max_parallelism:1"


class ShardIndex(NamedTuple):
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


def write(folder: Path, shard: Shard, raw: RawSplit, size: int | None, count: Callable[[bool], None]) -> None:
    """Read the faces of a shard and write it into `folder`, then its index.

    A finished shard is not written again, unless one of its broken faces has changed.

    Args:
      folder: of the records.
      shard: what to write.
      raw: its split.
      size: see `read_face`.
      count: called after each face, with whether it is broken; an exception from it stops the work and leaves no shard.

    Raises:
      UserError: the write fails. Broken faces raise nothing.
    """
    before = read_index(folder, shard)
    if before is not None and _is_as_before(before, shard, raw, size):
        known = {problem.name for problem in before.broken}
        for index in shard.faces:
            count(raw.names[index] in known)
        return
    path = folder / f"{shard.stem}.array_record"
    classes = len(raw.label_set)
    names, sizes, broken, labelled = [], [], [], 0
    pixels, presence = np.zeros(IGNORE + 1, np.int64), []
    # While a shard is rewritten it is not done until its new index is written.
    _index_path(folder, shard).unlink(missing_ok=True)
    with files.replacing(path) as part:
        with _Writer(part, path) as writer:
            for index in shard.faces:
                found = read_face(raw, index, size)
                count(isinstance(found, Problem))
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
        _flush(part)
        length, digest = part.stat().st_size, files.sha256(part)
    made = ShardIndex(
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
    files.replace(_index_path(folder, shard), _to_json(made))


def read_index(folder: Path, shard: Shard) -> ShardIndex | None:
    """Read the index of a shard; None if the shard is unfinished, belongs to another plan, or its index was edited."""
    try:
        found = _from_json(_index_path(folder, shard).read_bytes())
        path = folder / f"{shard.stem}.array_record"
        done = (found.digest, found.file, found.bytes) == (shard.digest, path.name, path.stat().st_size)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return found if done else None


def _is_as_before(before: ShardIndex, shard: Shard, raw: RawSplit, size: int | None) -> bool:
    """Return whether every broken face is still broken for the same reason."""
    index = {raw.names[index]: index for index in shard.faces}
    return all(read_face(raw, index[problem.name], size) == problem for problem in before.broken)


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


def _flush(path: Path) -> None:
    """Flush a file to disk: a power failure must not leave a finished shard of zeros."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _index_path(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.stem}.json"


def _to_json(found: ShardIndex) -> bytes:
    arrays = {
        "sizes": found.sizes.tolist(),
        "pixels": found.pixels.tolist(),
        "presence": [np.flatnonzero(row).tolist() for row in found.presence],
        "classes": found.presence.shape[1],
    }
    content = {**found._asdict(), **arrays}
    return json.dumps({"check": _check(content), "contents": content}).encode()


def _check(content: dict) -> str:
    """Compute a checksum of the JSON of `ShardIndex`, which detects manual edits of the index."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _from_json(text: bytes) -> ShardIndex:
    record = json.loads(text)
    content = record["contents"] if record["check"] == _check(record["contents"]) else {}  # edited: as if damaged
    presence = np.zeros((len(content["names"]), content.pop("classes")), bool)
    for row, ids in zip(presence, content["presence"], strict=True):
        row[ids] = True
    return ShardIndex(
        **{
            **content,
            "names": tuple(content["names"]),
            "sizes": np.array(content["sizes"], np.int64).reshape(-1, 2),
            "pixels": np.array(content["pixels"], np.int64),
            "presence": presence,
            "broken": tuple(Problem(*problem) for problem in content["broken"]),
        }
    )


class Face(NamedTuple):
    """A face ready to be stored.

    Attributes:
      record: its message.
      size: (height, width) of the photo as stored, pixels.
      pixels: int64 [256], how often each value occurs in the mask; None without labels.
    """

    record: bytes
    size: tuple[int, int]
    pixels: np.ndarray | None


def read_face(raw: RawSplit, index: int, size: int | None) -> Face | Problem:
    """Read the face number `index` of a split; return a problem if it cannot be stored.

    Every pixel is decoded and every id checked, so that a damaged file is found now and not during training.

    Args:
      raw: the split.
      index: 0 <= index < len(raw.names).
      size: shrink the photo to this many pixels on its longer side (`geometry.shrink`) and store it as JPEG; with
        None, and for smaller photos, the file's bytes are kept if it is JPEG or PNG.
    """
    name, path = raw.names[index], raw.image_path(index)
    try:
        fault = _name_fault(name)
        return Problem(name, os.fspath(path), fault) if fault else _encode_face(raw, index, size, name, path)
    except UserError as error:
        return Problem(name, os.fspath(path), str(error).removeprefix(f"'{path}' "))


def _encode_face(raw: RawSplit, index: int, size: int | None, name: str, path: epath.Path) -> Face:
    content = files.read_limited(path, MAX_PHOTO_BYTES, "photo", remedy="check the file, or make a smaller copy of it")
    mask, landmarks = raw.read_mask(index), raw.read_landmarks(index)
    example = assemble(Encoded(os.fspath(path), content), mask, landmarks)
    photo = content if _is_storable(content) else None
    if size is not None:
        whole, example = example, shrink(example, size)
        if example["image"].shape != whole["image"].shape:
            photo = jpeg(example["image"])
    if photo is None:
        photo = png(example["image"])
    mask = example.get("mask")
    vectors = {key: example[key] for key in message.VECTORS if key in example}
    record = message.Record(name, photo, None if mask is None else png(mask), vectors)
    pixels = None if mask is None else np.bincount(mask.ravel(), minlength=IGNORE + 1)
    return Face(message.encode(record), example["image"].shape[:2], pixels)


def _is_storable(content: bytes) -> bool:
    """Return whether a photo's own bytes can go into records: JPEG, or PNG of 8 bits."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content[24] <= 8  # the bit depth in the first chunk, whose position and length are fixed
    return content.startswith(b"\xff\xd8\xff")


def _name_fault(name: str) -> str | None:
    """Return why a name is unfit for records: names are printed, listed one a line, and used as file names."""
    if not name or not name.isprintable():  # lone surrogates (not valid UTF-8) are not printable either
        return "has a name that cannot be printed: rename it"
    if len(name.encode()) > _MAX_NAME_BYTES:
        return f"has a name of more than {_MAX_NAME_BYTES} bytes: rename it"
    if name.startswith("/") or ".." in name.split("/"):
        return "has a name that leads out of its folder: rename it"
    return None
