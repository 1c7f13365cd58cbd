"""Save, read and load a bundle folder.

model.safetensors  the variables, under flat names `network/path/to/leaf`
model.json         everything else, see `Meta`
"""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from input_pipeline import files
from input_pipeline.errors import UserError, require
from l2s_jax.bundle import tensors
from l2s_jax.bundle.meta import Meta, from_json, to_json

TENSOR_FILE = "model.safetensors"
JSON_FILE = "model.json"
MAX_JSON_BYTES = 4 * 2**20


class Bundle(NamedTuple):
    """A model read from disk: its folder, its description, its variables (nested dicts of numpy arrays)."""

    path: Path
    meta: Meta
    variables: Mapping


def save(path: str | os.PathLike, variables: Mapping, meta: Meta) -> Meta:
    """Write a bundle atomically: a reader sees the old folder or the new one, never a half-written one.

    Args:
      path: the folder to create. An existing bundle is replaced; a folder with anything else is refused.
      variables: nested dicts of arrays, by network name.
      meta: the description; its `parameters` and `sha256` are filled in here.

    Returns:
      the completed meta.

    Raises:
      UserError: the weights are not finite, the folder holds something else or is not local, or it cannot be written.
    """
    path = files.local(Path(path))
    for name, array in flatten_dict(variables, sep="/").items():
        require(np.isfinite(array).all(), f"the model cannot be saved: '{name}' holds numbers that are not finite")
    if path.exists() and not _replaceable(path):
        raise UserError(f"'{path}' exists and is not a model bundle; choose another folder")
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        fresh = scratch / "new"
        fresh.mkdir()
        parameters = tensors.write(fresh / TENSOR_FILE, variables)
        meta = dataclasses.replace(meta, parameters=parameters, sha256=files.sha256(fresh / TENSOR_FILE))
        files.replace_json(fresh / JSON_FILE, to_json(meta))
        _swap_in(fresh, path, scratch / "old")
    except OSError as error:
        raise UserError(f"cannot write the model '{path}': {error.strerror or error}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return meta


def rescore(path: str | os.PathLike, scores: Mapping) -> Meta:
    """Replace the scores in a bundle's `model.json`; the tensors are unchanged.

    Raises:
      UserError: there is no bundle, or it cannot be written.
    """
    path = Path(path)
    meta = dataclasses.replace(read_meta(path), scores=scores)
    files.replace_json(path / JSON_FILE, to_json(meta))
    return meta


def read_meta(path: str | os.PathLike) -> Meta:
    """Read the description of the bundle folder `path`, without its tensors.

    Raises:
      UserError: there is no bundle, or its description is too long, not JSON, or has a wrong field.
    """
    file = Path(path) / JSON_FILE
    remedy = "name the folder of a model, or copy or export it again"
    return from_json(files.read_object(file, MAX_JSON_BYTES, "description of a model", remedy=remedy), str(file))


def load(path: str | os.PathLike) -> Bundle:
    """Read the bundle folder `path`, checking sizes, names, dtypes and the sha256 first.

    Raises:
      UserError: anything is missing, truncated or changed.
    """
    path = Path(path)
    meta = read_meta(path)
    return Bundle(path, meta, tensors.read(path / TENSOR_FILE, meta.sha256, meta.parameters))


def fit(bundle: Bundle, abstract: Mapping) -> Mapping:
    """Arrange the bundle's variables in the structure that a system expects.

    Args:
      bundle: a loaded bundle.
      abstract: nested dicts whose leaves have `.shape` and `.dtype`, e.g. `jax.eval_shape` of the system's variables.

    Returns:
      nested dicts like `abstract` (empty groups included) with the bundle's arrays.

    Raises:
      UserError: a tensor is missing, superfluous, or of another shape or dtype; the message names the first one.
    """
    have, want = flatten_dict(bundle.variables, sep="/"), flatten_dict(abstract, sep="/")

    def refuse(reason: str) -> UserError:
        return UserError(f"'{bundle.path}' is not a model of this system '{bundle.meta.system}': {reason}")

    for name, leaf in want.items():
        if name not in have:
            raise refuse(f"tensor '{name}' is missing")
        if tuple(have[name].shape) != tuple(leaf.shape):
            raise refuse(f"tensor '{name}' has shape {list(have[name].shape)} instead of {list(leaf.shape)}")
        if have[name].dtype != leaf.dtype:
            raise refuse(f"tensor '{name}' is {have[name].dtype} instead of {leaf.dtype}")
    extra = sorted(have.keys() - want.keys())
    if extra:
        raise refuse(f"it has a tensor '{extra[0]}' that the system does not know")
    places = flatten_dict(abstract, keep_empty_nodes=True, sep="/")
    return unflatten_dict({name: have.get(name, empty) for name, empty in places.items()}, sep="/")


def _replaceable(path: Path) -> bool:
    return path.is_dir() and {entry.name for entry in path.iterdir()} <= {TENSOR_FILE, JSON_FILE}


def _swap_in(fresh: Path, path: Path, old: Path) -> None:
    """Rename `fresh` to `path`; on failure restore the previous folder."""
    if not path.exists():
        os.rename(fresh, path)
        return
    os.rename(path, old)
    try:
        os.rename(fresh, path)
    except OSError:
        os.rename(old, path)
        raise
