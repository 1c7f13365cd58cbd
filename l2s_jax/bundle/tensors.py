"""Nested dicts of arrays as one safetensors file, every claim of the file checked before memory is spent on it."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from input_pipeline.errors import UserError

MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
# safetensors dtype -> bytes an element. Nothing else is ever written, so nothing else is read.
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "I64": 8, "U8": 1, "BOOL": 1}

_FAR = 2**48  # more bytes than any file holds
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


def flatten(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, object]]:
    """`(name, leaf)` of a nested dict, names joined with `/` (`generator/params/conv/kernel`)."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}/")
        else:
            yield name, value


def unflatten(flat: Mapping[str, object], source: str) -> dict:
    """The nested dict of flat names.

    Raises:
      UserError: one name is both a tensor and a group of tensors; the sentence names `source`.
    """
    tree: dict = {}
    for name, leaf in flat.items():
        *groups, last = name.split("/")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise UserError(f"'{source}' is damaged: '{name}' lies inside another tensor; export the model again")
        if last in node:
            raise UserError(f"'{source}' is damaged: '{name}' is both a tensor and a group; export the model again")
        node[last] = leaf
    return tree


def write(path: Path, tree: Mapping) -> int:
    """Write the arrays of `tree` to the safetensors file `path`; returns how many numbers they hold.

    Raises:
      OSError: the disk refuses.
      ValueError: a name that `read` would refuse (a bug of the caller, not of the user).
    """
    flat = {name: np.asarray(leaf, order="C") for name, leaf in flatten(tree)}
    unsafe = [name for name in flat if not _NAME.fullmatch(name)]
    if unsafe:
        raise ValueError(f"unsafe tensor name: {unsafe[0]!r}")
    path.write_bytes(save(flat))  # `save_file` would make the file private and hide the disk's own error
    return sum(leaf.size for leaf in flat.values())


def read(path: Path, sha256: str) -> dict:
    """The nested dict of numpy arrays in `path`.

    Args:
      path: a safetensors file. Hostile: sizes, names and dtypes are checked against the file's length first.
      sha256: hex digest that the file must have.

    Raises:
      UserError: missing, truncated or damaged file, or another digest.
    """
    try:
        check_header(path)
        if digest(path) != sha256:
            raise UserError(
                f"'{path}' is not the file its model.json was written for (sha256 differs); copy the whole folder again"
            )
        return unflatten(load_file(path), str(path))
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def digest(path: Path) -> str:
    """sha256 of a file, as hex, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_header(path: Path, item_bytes: Mapping[str, int] = ITEM_BYTES) -> None:
    """Refuse a file whose header promises anything that its length does not hold.

    The format: 8 bytes little-endian header length, that many bytes of JSON
    `{name: {"dtype", "shape", "data_offsets": [begin, end]}}`, then the tensors without gaps.

    Args:
      path: of the file.
      item_bytes: dtypes that it may hold -> bytes an element.

    Raises:
      UserError: the first broken promise.
      OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _damaged(path, "the file is truncated")
        if length > MAX_HEADER_BYTES:
            raise _damaged(path, "its header is too long")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise _damaged(path, f"it lists {len(header)} tensors")
    spans = sorted(_span(path, name, entry, item_bytes) for name, entry in header.items())
    end = 0
    for begin, stop in spans:
        if begin != end:
            raise _damaged(path, "its tensors overlap or leave gaps")
        end = stop
    if end != size - 8 - length:
        raise _damaged(path, f"it holds {size - 8 - length} bytes of tensors where its header promises {end}")


def _span(path: Path, name: str, entry: object, item_bytes: Mapping[str, int]) -> tuple[int, int]:
    """Checked byte range of one header entry."""
    if not _NAME.fullmatch(name) or len(name) > 500:
        raise _damaged(path, "a tensor has an unsafe name")
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str) or entry["dtype"] not in item_bytes:
        raise _damaged(path, f"tensor '{name}' has an unknown dtype")
    shape, span = entry.get("shape"), entry.get("data_offsets")
    if not (_naturals(shape) and len(shape) <= 16 and _naturals(span) and len(span) == 2):
        raise _damaged(path, f"tensor '{name}' has an impossible shape or place")
    if math.prod(max(side, 1) for side in shape) >= _FAR:  # numpy overflows on such a shape even beside a zero
        raise _damaged(path, f"tensor '{name}' has an impossible shape")
    if span[1] - span[0] != math.prod(shape) * item_bytes[entry["dtype"]]:
        raise _damaged(path, f"tensor '{name}' has another size than its shape")
    return span[0], span[1]


def _naturals(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _FAR for v in values)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"'{path}' is damaged: {reason}; copy or export the model again")
