"""The gate for pickles: Python's own unpickler, cut down to describing tensors.

Whatever an untrusted pickle holds passes here: the index of a zip of `torch.save`, the streams that PyTorch wrote
before version 1.6 and still writes for a storage inside another pickle, and the networks that NVIDIA publishes. Those
carry the Python source of their classes, which their own loader executes; here it is a text that nobody reads.

Why nothing is executed: `find_class` imports nothing. It answers with a dtype or a `Global`, which is no more than a
name, and REDUCE and NEWOBJ look that name up in a table of a few methods, which check their arguments and return plain
data. The table of instructions holds those that PyTorch and NVIDIA write; any other ends the reading (extensions and
buffers from outside among them). BUILD, which would call `__setstate__` or set attributes, hands its state to the three
kinds of values that have one (pickle_values.py), and drops it elsewhere.

Why memory and time are bounded: what describes is counted over all pickles in a file (`spans.Budget`), and bytes are
not copied (`spans.Span`); a number in the stream never says how much to allocate (an index of the memo does in the C
unpickler, which is why its twin in Python is the base); references share and never copy; methods take a few arguments;
streams nest once; and keys of dicts are strings and integers: no tuple of tuples is ever hashed.
"""

import pickle
from typing import Any

import jax.numpy as jnp
import numpy as np

from l2s_jax.torch_weights.pickle_values import FAR, Array, Global, Number, Record, Storage, Tensor, dense
from l2s_jax.torch_weights.spans import Budget, Cursor, Span

NETWORK = "dnnlib.tflib.network.Network"
MODULE = "torch_utils.persistence._reconstruct_persistent_obj"
MAGIC = 0x1950A86A20F9469CFC6C
"""The first number in a stream of PyTorch before 1.6."""

_VERSION = 1001
_MAX_NESTED = 1  # the storages of a tensor in a pickle are such streams, and hold no further ones

_STORAGES = {
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
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")

_INSTRUCTIONS = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT),
    *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID),
)


def load(span: Span, budget: Budget) -> object:
    """Read what the pickle in `span` describes.

    Args:
      span: begins with a pickle; what follows it is not read.
      budget: counts its bytes.

    Returns:
      None, bool, int, float, str, tuple, list, dict, `Storage`, `Tensor`, `Span` for bytes, `Array`, `Number`, `Record`
      and `Global`, in any nesting: also in itself.

    Raises:
      pickle.UnpicklingError: damaged, too long, or with an instruction, a name or a call that is not on the lists; the
        message ends the caller's sentence.
      OSError: the file cannot be read.
    """
    return _content(_Unpickler(Cursor(span, budget)))


def load_stream(span: Span, budget: Budget, nested: int = 0) -> object:
    """Read what a stream of PyTorch before 1.6 describes: its pickles, behind which lie the numbers of the storages.

    Args:
      span: the stream.
      budget: counts the bytes of the pickles.
      nested: how many streams it lies in.

    Returns:
      as `load`; the storages know their place.

    Raises:
      pickle.UnpicklingError: as `load`.
      OSError: the file cannot be read.
    """
    cursor = Cursor(span, budget)
    unpickler = _Unpickler(cursor, nested)
    magic, version, system = (_content(_Unpickler(cursor, nested)) for _ in range(3))
    if magic != MAGIC or version != _VERSION or type(system) is not dict:
        raise pickle.UnpicklingError("it holds a stream that PyTorch did not write")
    if system.get("little_endian") is not True:
        raise pickle.UnpicklingError("it comes from a big-endian machine")
    content, keys = _content(unpickler), _content(_Unpickler(cursor, nested))
    if type(keys) is not list:
        raise pickle.UnpicklingError("it does not list its storages")
    for key in keys:
        storage = unpickler.storages.get(key) if type(key) is str else None
        if storage is None or int.from_bytes(cursor.read(8), "little") != storage.size:
            raise pickle.UnpicklingError("one of its storages has another size than its index says")
        storage.place = cursor.skip(storage.size * storage.dtype.itemsize)
    return content


def _content(unpickler: "_Unpickler") -> object:
    try:
        return unpickler.load()
    except (pickle.UnpicklingError, OSError):
        raise
    except Exception as error:  # a damaged pickle may raise anything, says Python's documentation
        raise pickle.UnpicklingError("its index is damaged or not one of weights") from error


class _Unpickler(pickle._Unpickler):
    """The unpickler with the instructions of `_INSTRUCTIONS` and those below.

    Attributes:
      storages: those that the pickle refers to, by their keys.
    """

    def __init__(self, cursor: Cursor, nested: int = 0):
        super().__init__(cursor)
        self.storages: dict[str, Storage] = {}
        self._cursor, self._nested = cursor, nested

    def find_class(self, module: str, name: str) -> object:
        """Return the stand-in for a global of the lists."""
        asked = f"{module}.{name}"
        if asked in _CALLS or asked in _CLASSES or asked == _NDARRAY:
            return Global(asked)
        kind = asked.removeprefix("torch.").removesuffix("Storage")
        if asked == f"torch.{kind}Storage" and kind in _STORAGES:
            return np.dtype(_STORAGES[kind])
        raise pickle.UnpicklingError(f"it asks for {asked[:80]!r}, which no weights need")

    def persistent_load(self, pid: object) -> Storage:
        """Read `("storage", type, key, location, size)`, where a stream has None at the end (once, views of storages).

        Where the numbers lay when they were saved does not matter.
        """
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(size), *rest) if rest in ([], [None]):
                storage = self.storages.setdefault(key, Storage(key, dtype, size))
                if 0 <= size < FAR and (storage.dtype, storage.size) == (dtype, size):
                    return storage
        raise pickle.UnpicklingError("its index refers to something that is no storage")

    def call(self) -> None:
        """Reduce: replace the name of a call and its arguments by what it returns."""
        arguments, function = self.stack.pop(), self.stack[-1]
        if type(function) is not Global or function.name not in _CALLS or type(arguments) is not tuple:
            raise pickle.UnpicklingError("its index calls what is no function of weights")
        self.stack[-1] = _CALLS[function.name](self, *arguments)

    def new_object(self) -> None:
        """Replace the name of a class by an empty object."""
        arguments, cls = self.stack.pop(), self.stack[-1]
        if type(cls) is not Global or cls.name not in _CLASSES or type(arguments) is not tuple or arguments:
            raise pickle.UnpicklingError("its index makes an object that is not of weights")
        self.stack[-1] = _CLASSES[cls.name](cls.name)

    def build(self) -> None:
        """Give an object its state; others have one too: torch keeps versions of modules on the dict of tensors."""
        state, instance = self.stack.pop(), self.stack[-1]
        if type(instance) in (Record, Array, Number):
            instance.build(state)

    def set_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def set_items(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()

    def add_items(self) -> None:
        items = self.pop_mark()
        self.stack[-1].extend(items)

    def ignore_frame(self) -> None:
        """Skip the length of a frame, which helps reading in large steps."""
        self.read(8)

    def short_bytes(self) -> None:
        self._bytes(1)

    def medium_bytes(self) -> None:
        self._bytes(4)

    def long_bytes(self) -> None:
        self._bytes(8)

    def _bytes(self, width: int) -> None:
        self.append(self._cursor.skip(int.from_bytes(self.read(width), "little")))

    def _from_bytes(self, stream: Span) -> Storage:
        """Read the stream of one storage, in which its tensor in another pickle keeps its numbers."""
        if self._nested >= _MAX_NESTED:
            raise pickle.UnpicklingError("its streams lie in one another")
        storage = load_stream(stream, self._cursor.budget, self._nested + 1)
        if type(storage) is not Storage or storage.place is None:
            raise pickle.UnpicklingError("it holds a stream that is not of a storage")
        return storage

    def _tensor(
        self,
        storage: Storage,
        offset: int,
        shape: tuple,
        strides: tuple,
        grad: object = None,
        hooks: object = None,
        metadata: object = None,
    ) -> Tensor:
        """Return where a tensor lies; what it is for does not matter here."""
        if not (type(storage) is Storage and type(shape) is type(strides) is tuple):
            raise pickle.UnpicklingError("its index describes a tensor in an unknown way")
        return Tensor(storage, offset, shape, strides)

    def _parameter(self, tensor: Tensor, grad: object = None, hooks: object = None) -> Tensor:
        """Return the tensor as which a parameter is read."""
        return tensor

    def _module(self, meta: dict) -> Record:
        """Keep the attributes of a module and leave its source code alone."""
        record = Record(MODULE)
        record.build(meta.get("state") if type(meta) is dict else None)
        return record

    def _counts(self, counts: dict) -> dict:
        """Return the content of a Counter, where a learning-rate schedule keeps its milestones."""
        return counts

    def _set(self, members: list) -> list:
        return members

    def _dict(self) -> dict:
        """Make an OrderedDict, empty: SETITEMS fills it."""
        return {}

    def _array(self, cls: Global, shape: tuple, code: Span) -> Array:
        """Make an array, empty: BUILD fills it."""
        return Array()

    def _scalar(self, number: Number, data: Span) -> Array:
        if type(number) is not Number or type(data) is not Span:
            raise pickle.UnpicklingError("its index describes a number in an unknown way")
        array = Array()
        array.tensor = dense(number.dtype, (), data, transposed=False)
        return array

    def _number(self, code: str, align: object = None, copy: object = None) -> Number:
        if type(code) is not str or code not in _NUMBERS:
            shown = f" {code[:20]!r}" if type(code) is str else ""
            raise pickle.UnpicklingError(f"it holds arrays of the numpy type{shown}, which is no plain number")
        return Number(code)

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS} | {
        pickle.REDUCE[0]: call,
        pickle.NEWOBJ[0]: new_object,
        pickle.BUILD[0]: build,
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: set_items,
        pickle.EMPTY_SET[0]: pickle._Unpickler.dispatch[pickle.EMPTY_LIST[0]],
        pickle.ADDITEMS[0]: add_items,
        pickle.FRAME[0]: ignore_frame,
        pickle.SHORT_BINBYTES[0]: short_bytes,
        pickle.BINBYTES[0]: medium_bytes,
        pickle.BINBYTES8[0]: long_bytes,
    }


def _check_keys(keys: list) -> None:
    for key in keys:
        if type(key) not in (str, int):
            raise pickle.UnpicklingError(f"its index has a {type(key).__name__} for a key")


def _empty(name: str) -> dict:
    del name
    return {}


_NDARRAY = "numpy.ndarray"
_CALLS: dict[str, Any] = {
    "collections.OrderedDict": _Unpickler._dict,
    "collections.Counter": _Unpickler._counts,
    "builtins.set": _Unpickler._set,
    "__builtin__.set": _Unpickler._set,
    "torch._utils._rebuild_tensor_v2": _Unpickler._tensor,
    "torch._utils._rebuild_parameter": _Unpickler._parameter,
    "torch.storage._load_from_bytes": _Unpickler._from_bytes,
    MODULE: _Unpickler._module,
    "numpy.core.multiarray._reconstruct": _Unpickler._array,
    "numpy._core.multiarray._reconstruct": _Unpickler._array,
    "numpy.core.multiarray.scalar": _Unpickler._scalar,
    "numpy._core.multiarray.scalar": _Unpickler._scalar,
    "numpy.dtype": _Unpickler._number,
}
_CLASSES = {
    "collections.OrderedDict": _empty,
    "dnnlib.util.EasyDict": _empty,
    "argparse.Namespace": Record,
    NETWORK: Record,
}
