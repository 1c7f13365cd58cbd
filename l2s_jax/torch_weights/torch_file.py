"""Read weights from files of PyTorch or safetensors, without PyTorch and without executing a pickle.

`torch.save` (since 1.6) writes a zip of uncompressed records below one folder: `data.pkl`, the pickle of the object
with a reference wherever it held numbers (see torch_pickle.py); `data/0`, `data/1` ..., the numbers; `byteorder`;
`version`. Only the numbers of the tensors asked for are read, each storage once.

Files are hostile: every size is checked against the length of the file, every view of a storage against the storage,
before memory is spent.
"""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from input_pipeline.errors import UserError
from l2s_jax.bundle.tensors import UNREADABLE
from l2s_jax.torch_weights.torch_pickle import Storage, Tensor, load

WRAPPERS = ("state_dict_backbone", "state_dict", "model")
"""Keys under which training scripts keep the weights beside their optimiser; the first is SegFace's."""

_ZIP, _LEGACY = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HARMLESS_FLAGS = 0x0808  # sizes behind the data, names in UTF-8: what torch writes
_AGAIN = "download or copy it again"


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the named tensors of a checkpoint.

    Args:
      path: a file of `torch.save` that holds a state dict, alone or under one of `WRAPPERS`; or a safetensors file.

    Returns:
      read-only arrays in the dtypes of the file (bfloat16 is ml_dtypes'), in its order; the prefix `module.` that
      parallel training puts before every name is taken off. Tensors that share a storage share memory.

    Raises:
      UserError: missing, truncated or damaged file, one of another kind, or a pickle that wants to do anything else
        than describe weights; the sentence says what.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(max(len(_ZIP), len(_LEGACY), 9))
        if start.startswith(_ZIP):
            state = _read_zip(path)
        elif start[8:9] == b"{":
            state = _read_safetensors(path)
        elif start.startswith(_LEGACY):
            raise UserError(
                f"'{path}' has the format of PyTorch before 1.6: load it and save it again with a newer PyTorch"
            )
        else:
            raise UserError(f"'{path}' is neither a PyTorch checkpoint nor a safetensors file")
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    return _without_prefix(state)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)  # which checks sizes and places against the file's length
    except UNREADABLE as error:
        raise UserError(f"'{path}' is damaged: {error}; {_AGAIN}") from error


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            records = _Records(archive, path)
            tensors = _state_dict(load(records.read("data.pkl")), path)
            storages = {t.storage for t in tensors.values()}
            numbers = {storage: _numbers(records, storage) for storage in storages}
    except pickle.UnpicklingError as error:
        raise UserError(f"'{path}' is refused: {error}; download it again from a source you trust") from error
    # What zipfile raises for a broken archive, beside its own error.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(f"'{path}' is damaged or cut off: {error}; {_AGAIN}") from error
    return {name: _view(tensor, numbers[tensor.storage]) for name, tensor in tensors.items()}


class _Records:
    """The records of a checkpoint, by their names below its folder.

    Raises:
      UserError: the zip is not one of `torch.save`.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path):
        self._archive, self._path = archive, path
        entries = {entry.filename: entry for entry in archive.infolist()}
        folders = [name.removesuffix("data.pkl") for name in entries if name.count("/") == 1]
        folder = next((f for f in folders if f"{f}data.pkl" in entries), None)
        if folder is None:
            raise UserError(f"'{path}' is a zip file, but not a PyTorch checkpoint")
        self._entries = {name.removeprefix(folder): entry for name, entry in entries.items()}
        if sum(entry.file_size for entry in entries.values()) > path.stat().st_size:
            raise UserError(f"'{path}' is damaged: its records claim to be larger than the file; {_AGAIN}")
        if "byteorder" in self._entries and self.read("byteorder") != b"little":
            raise UserError(f"'{path}' comes from a big-endian machine: save it again on a little-endian one")

    def size(self, name: str) -> int:
        """Return the bytes that a record takes."""
        return self._entry(name).file_size

    def read(self, name: str) -> bytes:
        """Return a record, its checksum verified."""
        return self._archive.read(self._entry(name))

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(name)
        if entry is None:
            raise UserError(f"'{self._path}' is damaged: its record '{name}' is missing; {_AGAIN}")
        stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        if not stored or entry.flag_bits & ~_HARMLESS_FLAGS:
            raise UserError(f"'{self._path}' is not as PyTorch writes it: its record '{name}' is compressed")
        return entry


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Find the dict of tensors in what a checkpoint holds."""
    if isinstance(content, dict):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not content:
        raise UserError(f"'{path}' holds no weights: it is the file of a {type(content).__name__}")
    for name, value in content.items():
        if type(name) is not str or type(value) is not Tensor:
            raise UserError(f"'{path}' holds no weights: among its entries is '{str(name)[:80]}', which is no tensor")
    return content


def _numbers(records: _Records, storage: Storage) -> np.ndarray:
    """Read a storage: [size] of its dtype, read-only."""
    name, size = f"data/{storage.key}", storage.size * storage.dtype.itemsize
    if records.size(name) != size:
        raise pickle.UnpicklingError(f"its record '{name}' has another size than its index says")
    return np.frombuffer(records.read(name), storage.dtype)


def _view(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    """Give the tensor its shape on its storage; `Tensor` has checked that it stays inside."""
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _without_prefix(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in state.items()}
