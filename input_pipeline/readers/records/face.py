"""Conversion of one face of a raw download to a message, with the counts for the manifest."""

import os
from typing import NamedTuple

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded
from input_pipeline.images.examples import assemble, check_ids
from input_pipeline.images.geometry import shrink
from input_pipeline.labels import IGNORE
from input_pipeline.readers.downloads.layout import RawSplit
from input_pipeline.readers.records import message
from input_pipeline.types import Problem

MAX_FILE_BYTES = 1 << 29
"""Maximum size of a photo file, bytes; no photo of at most `decode.MAX_PIXELS` needs more."""

_MAX_NAME_BYTES = 255


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


def read(raw: RawSplit, index: int, size: int | None) -> Face | Problem:
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
        _check_name(name)
        return _read(raw, index, size, name, path)
    except UserError as error:
        return Problem(name, os.fspath(path), _reason(str(error), os.fspath(path)))


def _read(raw: RawSplit, index: int, size: int | None, name: str, path: epath.Path) -> Face:
    content = _read_bytes(path)
    mask, landmarks = raw.read_mask(index), raw.read_landmarks(index)
    if mask is not None:
        check_ids(mask, raw.label_set, f"mask of {path}")
    if landmarks is not None and not np.isfinite(landmarks).all():
        raise UserError(f"'{path}' has landmarks that are no finite numbers: correct them")
    example = assemble(Encoded(os.fspath(path), content), mask, landmarks)
    photo = content if _is_storable(content) else None
    if size is not None:
        whole, example = example, shrink(example, size)
        if example["image"].shape != whole["image"].shape:
            photo = message.jpeg(example["image"])
    if photo is None:
        photo = message.png(example["image"])
    mask = example.get("mask")
    vectors = {key: example[key] for key in message.VECTORS if key in example}
    record = message.Record(name, photo, None if mask is None else message.png(mask), vectors)
    pixels = None if mask is None else np.bincount(mask.ravel(), minlength=IGNORE + 1)
    return Face(message.encode(record), example["image"].shape[:2], pixels)


def _is_storable(content: bytes) -> bool:
    """Return whether a photo's own bytes can go into records: JPEG, or PNG of 8 bits."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content[24] <= 8  # the bit depth in the first chunk, whose position and length are fixed
    return content.startswith(b"\xff\xd8\xff")


def _read_bytes(path: epath.Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise UserError(f"'{path}' does not exist: check the path") from error
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}): check the file") from error
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"'{path}' is longer than {MAX_FILE_BYTES >> 20} MiB, no photo is: make a smaller copy of it")
    return content


def _check_name(name: str) -> None:
    """Raise UserError for a name unfit for records: names are printed, listed one a line, and used as file names."""
    if not name or not name.isprintable():  # lone surrogates (not valid UTF-8) are not printable either
        raise UserError("has a name that cannot be printed: rename it")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise UserError(f"has a name of more than {_MAX_NAME_BYTES} bytes: rename it")
    if name.startswith("/") or ".." in name.split("/"):
        raise UserError("has a name that leads out of its folder: rename it")


def _reason(sentence: str, path: str) -> str:
    """Return the end of a sentence that begins with `path`; any other sentence unchanged."""
    return sentence.removeprefix(f"'{path}' ")
