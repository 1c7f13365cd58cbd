"""Store nested dicts of arrays as one safetensors file."""

import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from input_pipeline import files
from input_pipeline.errors import UserError

UNREADABLE = (SafetensorError, AttributeError, TypeError, ValueError)
"""What safetensors raises for a damaged header, for a dtype that numpy lacks and for a shape that no array can have."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_MAX_HEADER, _MAX_ITEM = 100 * 10**6, 8  # bytes; safetensors reads no longer header
_MAX_NAME = 500  # bounds how deep dicts nest


def write(path: Path, tree: Mapping) -> int:
    """Write the arrays of `tree` to the safetensors file `path`; returns how many numbers they hold.

    Raises:
      OSError: the disk refuses.
      ValueError: a name that `read` would refuse (a bug of the caller, not of the user).
    """
    flat = {name: np.asarray(leaf, order="C") for name, leaf in flatten_dict(tree, sep="/").items()}
    unsafe = _unsafe(flat)
    if unsafe:
        raise ValueError(f"unsafe tensor name: {unsafe[0]!r}")
    path.write_bytes(save(flat))  # `save_file` would make the file private and hide the disk's own error
    return sum(leaf.size for leaf in flat.values())


def read(path: Path, sha256: str, parameters: int) -> dict:
    """Read the nested dict of numpy arrays in `path`.

    Args:
      path: a safetensors file. Hostile: safetensors checks sizes and places against the file's length.
      sha256: hex digest that the file must have.
      parameters: how many numbers it must hold; a longer file is refused before it is read.

    Raises:
      UserError: missing, truncated or damaged file, none at all (a pipe, a device), a longer one, or another digest.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            raise ValueError("it is no file")
        if os.path.getsize(path) > _MAX_HEADER + _MAX_ITEM * parameters:
            raise ValueError(f"it is longer than the {parameters:,} numbers of its model.json")
        with safe_open(path, framework="np") as file:  # reads no more than the header
            if files.sha256(path) != sha256:
                raise UserError(
                    f"'{path}' is not the file its model.json was written for (sha256 differs); "
                    "copy the whole folder again"
                )
            unsafe = _unsafe(file.keys())
            if unsafe:
                raise ValueError(f"it has a tensor of the unsafe name {unsafe[0][:80]!r}")
            return unflatten_dict({name: file.get_tensor(name) for name in file.keys()}, sep="/")  # noqa: SIM118
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except UNREADABLE as error:
        raise UserError(f"'{path}' is damaged: {error}; copy or export the model again") from error


def _unsafe(names: Collection[str]) -> list[str]:
    """List names that are odd, else those that name a group of other tensors as well."""
    odd = [name for name in names if len(name) > _MAX_NAME or not _NAME.fullmatch(name)]
    groups = () if odd else {str(group) for name in names for group in PurePosixPath(name).parents}
    return odd or [name for name in names if name in groups]
