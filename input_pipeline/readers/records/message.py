"""Encode a face of a shard as a safetensors message of the encoded photo, the encoded mask and optional arrays."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from input_pipeline.errors import UserError

VECTORS = {
    "landmarks": (np.float32, 2),
    "identity": (np.int32, 0),
    "identity_factors": (np.float32, 1),
    "attribute_factors": (np.float32, 1),
}
"""Optional arrays of a message, their types and numbers of axes; see `types.Example`."""

_MAX_NAME_BYTES = 4096
_MAX_VALUES = 65536  # of one vector


class Record(NamedTuple):
    """One face.

    Attributes:
      name: as in the data set.
      photo: the bytes of a JPEG or PNG file.
      mask: the bytes of a grey PNG of class ids, or None without labels.
      vectors: some of `VECTORS`.
    """

    name: str
    photo: bytes
    mask: bytes | None
    vectors: Mapping[str, np.ndarray]


def encode(record: Record) -> bytes:
    """Encode a face as a message; equal faces give equal bytes."""
    arrays = {"name": _as_array(record.name.encode()), "image": _as_array(record.photo)}
    if record.mask is not None:
        arrays["mask"] = _as_array(record.mask)
    return safetensors.numpy.save({**arrays, **record.vectors})


def decode(message: bytes, where: str) -> Record:
    """Decode an untrusted message.

    Args:
      message: its bytes; the result takes no more memory.
      where: its place, for error messages.

    Raises:
      UserError: not a valid message.
    """
    try:
        arrays = safetensors.numpy.load(message)
        files = {key: arrays.pop(key) for key in ("name", "image", "mask") if key in arrays}
        _check(all(a.dtype == np.uint8 and a.ndim == 1 for a in files.values()), "a file that is not uint8 [N]")
        _check({"name", "image"} <= files.keys(), "no name or no image")
        _check(arrays.keys() <= VECTORS.keys(), "an unknown array")
        for key, array in arrays.items():
            fits = (array.dtype, array.ndim) == VECTORS[key] and array.size <= _MAX_VALUES
            _check(fits and bool(np.isfinite(array).all()), f"unusable '{key}'")
        _check("landmarks" not in arrays or arrays["landmarks"].shape[1] == 2, "unusable 'landmarks'")
        _check(files["name"].size <= _MAX_NAME_BYTES, "an endless name")
        name = files["name"].tobytes().decode()
    # KeyError and TypeError: a dtype that safetensors knows and numpy does not.
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where} is damaged ({error}): prepare or copy the records again") from error
    mask = files["mask"].tobytes() if "mask" in files else None
    return Record(name, files["image"].tobytes(), mask, arrays)


def _as_array(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
