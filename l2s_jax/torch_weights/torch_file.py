"""Read weights from files of PyTorch, safetensors or NVIDIA, without PyTorch and without executing a pickle.

`torch.save` (since 1.6) writes a zip of uncompressed records below one folder: `data.pkl`, the pickle of the object
with a reference wherever it held numbers; `data/0`, `data/1` ..., the numbers; `byteorder`; `version`. Before, it wrote
a stream: the pickle first, the numbers behind it. NVIDIA's networks are one pickle, with the numbers inside. All
pickles pass pickle_gate.py. Only the numbers of the tensors asked for are read, each storage once.

Files are hostile: every size is checked against the length of the file, every view of a storage against the storage,
before memory is spent.
"""

import io
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors.numpy import load_file

from input_pipeline.errors import UserError, require
from l2s_jax.bundle.tensors import UNREADABLE
from l2s_jax.torch_weights.nvidia_networks import Parts, networks
from l2s_jax.torch_weights.pickle_gate import load, load_stream
from l2s_jax.torch_weights.pickle_values import Global, Record, Storage, Tensor
from l2s_jax.torch_weights.spans import MAX_DESCRIPTION, Budget, Span

WRAPPERS = ("g_ema", "state_dict_backbone", "state_dict", "model")
"""Keys under which training scripts keep the weights beside their optimiser: rosinality's StyleGAN2's, SegFace's."""
BESIDE = ("latent_avg",)
"""Tensors that belong to the weights, but lie beside them: the mean code of rosinality's StyleGAN2."""

_ZIP, _STREAM = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_HARMLESS_FLAGS = 0x0808  # sizes behind the data, names in UTF-8: what torch writes
_AGAIN = "download or copy it again"


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the named tensors of a checkpoint.

    Args:
      path: a file of `torch.save` (of any version) that holds a state dict, alone or under one of `WRAPPERS`; a
        safetensors file; or a pickle of NVIDIA's StyleGAN2 networks, for TensorFlow or PyTorch.

    Returns:
      read-only arrays in the dtypes of the file (bfloat16 is ml_dtypes'), in its order; the prefix `module.` that
      parallel training puts before every name is taken off. Tensors that share a storage share memory. NVIDIA's
      networks are all there, named as `nvidia_networks.networks` says, with their settings.

    Raises:
      UserError: missing, truncated or damaged file, one of another kind, one that is larger than the memory of the
        machine, or a pickle that wants to do anything else than describe weights; the sentence says what.
    """
    path = Path(path)
    try:
        _check_place(path)
        with open(path, "rb") as file:
            start = file.read(max(len(_ZIP), len(_STREAM), 9))
            if start.startswith(_ZIP):
                state = _read_zip(file, path)
            elif start[8:9] == b"{":
                state = _read_safetensors(path)
            elif start.startswith(_PICKLES):
                state = _read_pickle(file, path, stream=start.startswith(_STREAM))
            else:
                raise UserError(f"'{path}' is neither a PyTorch checkpoint nor a safetensors file")
    except pickle.UnpicklingError as error:
        raise UserError(f"'{path}' is refused: {error}; download it again from a source you trust") from error
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except MemoryError as error:
        raise UserError(f"'{path}' needs more memory than there is") from error
    return _without_prefix(state)


def _check_place(path: Path) -> None:
    """Refuse what is no file (a pipe would make us wait for ever) and what no memory holds (a sparse file, say)."""
    facts = os.stat(path)
    fits = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
    require(fits, f"cannot read '{path}': it is a device or a pipe, not a file")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if facts.st_size > memory:
        sizes = f"{facts.st_size / 2**30:.0f} GiB of '{path}'"
        raise UserError(f"the {sizes} are more than the {memory / 2**30:.0f} GiB of memory of this machine")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)  # which checks sizes and places against the file's length
    except UNREADABLE as error:
        raise UserError(f"'{path}' is damaged: {error}; {_AGAIN}") from error


def _read_pickle(file: BinaryIO, path: Path, *, stream: bool) -> dict[str, np.ndarray]:
    whole, budget = Span(file, 0, os.fstat(file.fileno()).st_size), Budget()
    if stream:
        return _arrays(_state_dict(load_stream(whole, budget), path), _lying)
    found = networks(load(whole, budget))
    require(found is not None, f"'{path}' holds no weights: it is a pickle, but not of networks that NVIDIA publishes")
    return _arrays(found, _lying)


def _read_zip(file: BinaryIO, path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            records = _Records(archive, path)
            return _arrays(_state_dict(load(records.index(), Budget()), path), records.numbers)
    # What zipfile raises for a broken archive, beside its own error.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(f"'{path}' is damaged or cut off: {error}; {_AGAIN}") from error


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
        require(folder is not None, f"'{path}' is a zip file, but not a PyTorch checkpoint")
        self._entries = {name.removeprefix(folder): entry for name, entry in entries.items()}
        claimed = sum(entry.file_size for entry in entries.values())
        fits = claimed <= path.stat().st_size
        require(fits, f"'{path}' is damaged: its records claim to be larger than the file; {_AGAIN}")
        little = "byteorder" not in self._entries or self._read("byteorder") == b"little"
        require(little, f"'{path}' comes from a big-endian machine: save it again on a little-endian one")

    def index(self) -> Span:
        """Return the pickle."""
        size = self._entry("data.pkl").file_size
        if size > MAX_DESCRIPTION:
            raise pickle.UnpicklingError(f"its index is longer than {MAX_DESCRIPTION // 2**20} MiB")
        return Span(io.BytesIO(self._read("data.pkl")), 0, size)

    def numbers(self, storage: Storage) -> bytes:
        """Return the bytes of a storage, their checksum verified."""
        name = f"data/{storage.key}"
        if self._entry(name).file_size != storage.size * storage.dtype.itemsize:
            raise pickle.UnpicklingError(f"its record '{name}' has another size than its index says")
        return self._read(name)

    def _read(self, name: str) -> bytes:
        return self._archive.read(self._entry(name))

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(name)
        require(entry is not None, f"'{self._path}' is damaged: its record '{name[:80]}' is missing; {_AGAIN}")
        stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        plain = stored and not entry.flag_bits & ~_HARMLESS_FLAGS
        require(plain, f"'{self._path}' is not as PyTorch writes it: its record '{name}' is compressed")
        return entry


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Find the dict of tensors in what a checkpoint holds."""
    beside = {}
    if isinstance(content, dict):
        wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if wrapper is not None:
            beside = {name: content[name] for name in BESIDE if type(content.get(name)) is Tensor}
            content = content[wrapper]
    require(isinstance(content, dict) and content, f"'{path}' holds no weights: it is the file of a {_kind(content)}")
    for name, value in content.items():
        if type(name) is not str or type(value) is not Tensor:
            raise UserError(f"'{path}' holds no weights: among its entries is '{str(name)[:80]}', which is no tensor")
    return content | beside


def _kind(content: object) -> str:
    if type(content) in (Global, Record):
        return f"'{content.name if type(content) is Global else content.kind}'"
    return type(content).__name__


def _lying(storage: Storage) -> bytes:
    """Return the bytes of a storage that knows its place."""
    if storage.place is None:
        raise pickle.UnpicklingError("it lacks the numbers of one of its storages")
    return storage.place.read()


def _arrays(parts: Parts, read: Callable[[Storage], bytes]) -> dict[str, np.ndarray]:
    """Read the tensors; those that lie in the same bytes share memory."""
    storages = {part.storage for part in parts.values() if type(part) is Tensor}
    data: dict[object, bytes] = {}
    for storage in storages:
        place = storage.place or storage
        if place not in data:
            data[place] = read(storage)
    return {
        name: _view(part, data[part.storage.place or part.storage]) if type(part) is Tensor else part
        for name, part in parts.items()
    }


def _view(tensor: Tensor, data: bytes) -> np.ndarray:
    """Give the tensor its shape on its storage; `Tensor` has checked that it stays inside."""
    numbers = np.frombuffer(data, tensor.storage.dtype)
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _without_prefix(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in state.items()}
