"""The pickle inside a PyTorch checkpoint, read with Python's own unpickler, cut down to describing tensors.

Why nothing is executed: `find_class` imports nothing. It answers with a dtype or one of four functions of this file,
which check their arguments and return plain data, and these are all that REDUCE finds to call. The table of
instructions holds those that `torch.save` writes (protocol 2); any other ends the reading. BUILD, which would call
`__setstate__` or set attributes, drops its state.

Why memory and time are bounded: a number in the stream never says how much to allocate (an index of the memo does in
the C unpickler, which is why its twin in Python is the base), references share and never copy, functions take a few
arguments, and keys of dicts are strings and integers: no tuple of tuples is ever hashed.
"""

import dataclasses
import io
import math
import pickle

import jax.numpy as jnp
import numpy as np

MAX_BYTES = 4 * 2**20
"""A checkpoint of 1000 tensors with its optimiser has 0.5 MB. Objects take up to 100 bytes of memory for a byte."""

_FAR = 2**48  # more elements than any file holds; numpy overflows on such a shape even beside a zero
_MAX_RANK = 16

_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "BFloat16": jnp.bfloat16,
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}

_INSTRUCTIONS = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.BINPERSID, pickle.REDUCE),
)


@dataclasses.dataclass(frozen=True)
class Storage:
    """Where the numbers of tensors lie: the record `data/KEY` of the zip, `size` elements of `dtype`."""

    key: str
    dtype: np.dtype
    size: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage, in elements. Every index it reaches lies inside, and it is not larger than the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self):
        naturals = (self.offset, *self.shape, *self.strides)
        rank, size = len(self.shape), self.storage.size
        if not all(type(n) is int and 0 <= n < _FAR for n in naturals) or not rank == len(self.strides) <= _MAX_RANK:
            raise pickle.UnpicklingError("a tensor has an impossible place, shape or stride")
        large = math.prod(self.shape) > size or math.prod(max(n, 1) for n in self.shape) >= _FAR
        reach = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if large or (0 not in self.shape and reach >= size):
            raise pickle.UnpicklingError(f"a tensor of shape {self.shape} does not fit its storage of {size}")


def load(stream: bytes) -> object:
    """Read what the pickle `stream` describes: None, bool, int, float, str, tuple, list, dict, `Storage` and `Tensor`.

    Raises:
      pickle.UnpicklingError: damaged, too long, or with an instruction, a name or a call that is not on the lists; the
        message ends the caller's sentence.
    """
    if len(stream) > MAX_BYTES:
        raise pickle.UnpicklingError(f"its index is longer than {MAX_BYTES // 2**20} MiB")
    try:
        return _Unpickler(io.BytesIO(stream)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle may raise anything, says Python's documentation
        raise pickle.UnpicklingError("its index is damaged or not as torch.save writes it") from error


class _Unpickler(pickle._Unpickler):
    """The unpickler with the instructions of `_INSTRUCTIONS` and the three below."""

    def find_class(self, module: str, name: str) -> object:
        """Return the stand-in for a global of the list."""
        asked = f"{module}.{name}"
        if asked in _FUNCTIONS:
            return _FUNCTIONS[asked]
        kind = asked.removeprefix("torch.").removesuffix("Storage")
        if asked == f"torch.{kind}Storage" and kind in _DTYPES:
            return np.dtype(_DTYPES[kind])
        raise pickle.UnpicklingError(f"it asks for {asked[:80]!r}, which no weights need")

    def persistent_load(self, pid: object) -> Storage:
        """Read `("storage", type, key, location, size)`; where the numbers lay when they were saved does not matter."""
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(size)) if 0 <= size < _FAR:
                return Storage(key, dtype, size)
        raise pickle.UnpicklingError("its index refers to something that is no storage")

    def set_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def set_items(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()

    def drop_state(self) -> None:
        """Ignore the state of BUILD: torch keeps versions of modules in it, on the dict of tensors."""
        self.stack.pop()

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS} | {
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: set_items,
        pickle.BUILD[0]: drop_state,
    }


def _check_keys(keys: list) -> None:
    for key in keys:
        if type(key) not in (str, int):
            raise pickle.UnpicklingError(f"its index has a {type(key).__name__} for a key")


def _empty_dict() -> dict:
    """An OrderedDict is made empty and filled by SETITEMS."""
    return {}


def _counts(counts: dict) -> dict:
    """A Counter, where a learning-rate schedule keeps its milestones."""
    return counts


def _tensor(
    storage: Storage, offset: int, shape: tuple, strides: tuple, grad=None, hooks=None, metadata=None
) -> Tensor:
    """What a tensor is for does not matter here, where it lies does."""
    if not (type(storage) is Storage and type(shape) is type(strides) is tuple):
        raise pickle.UnpicklingError("its index describes a tensor in an unknown way")
    return Tensor(storage, offset, shape, strides)


def _parameter(tensor: Tensor, grad=None, hooks=None) -> Tensor:
    """A parameter is read as its tensor."""
    return tensor


_FUNCTIONS = {
    "collections.OrderedDict": _empty_dict,
    "collections.Counter": _counts,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
