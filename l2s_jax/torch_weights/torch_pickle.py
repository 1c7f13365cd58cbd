"""The pickle inside a PyTorch checkpoint, read as data: a small interpreter that cannot call anything.

Python's `pickle` imports what a stream names and calls it with what the stream says; restricting it leaves the
machinery in place and one oversight away. Here that machinery does not exist: `pickletools` names instructions and
decodes their arguments; those that build numbers, strings, tuples, lists and dicts are carried out below, and any other
ends the reading. A global is a NAME from a fixed list, never an object; REDUCE looks that name up in four functions of
this file, which check their arguments and return plain data; BUILD drops its state. What comes out consists of None,
bool, int, float, str, tuple, list, dict, and the descriptions `Storage` and `Tensor`.

Bounded: the length of the stream and the number of instructions bound the memory; references share and never copy; keys
of dicts are strings and small numbers, so that nothing nested is ever hashed, compared or walked.
"""

import dataclasses
import io
import math
import pickletools
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

MAX_BYTES = 16 * 2**20
MAX_INSTRUCTIONS = 1_000_000
"""A checkpoint of 1000 tensors with its optimiser has about 0.1 million in 0.5 MB."""

_FAR = 2**48  # more elements than any file holds; numpy overflows on such a shape even beside a zero
_MAX_RANK = 16

_STORAGES = {
    f"torch {name}Storage": np.dtype(dtype)
    for name, dtype in {
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
    }.items()
}


class PickleError(ValueError):
    """The stream is damaged or asks for something that weights do not need; the message ends the caller's sentence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """Where the numbers of tensors lie: the record `data/KEY` of the zip, `size` elements of `dtype`."""

    key: str
    dtype: np.dtype
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, in elements. Every index it reaches lies inside, and it is not larger than the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self):
        naturals = (self.offset, *self.shape, *self.strides)
        if not all(type(n) is int and 0 <= n < _FAR for n in naturals):
            raise PickleError("a tensor has an impossible place, shape or stride")
        if len(self.shape) != len(self.strides) or len(self.shape) > _MAX_RANK:
            raise PickleError("a tensor has an impossible rank")
        if math.prod(self.shape) > self.storage.size or math.prod(max(n, 1) for n in self.shape) >= _FAR:
            raise PickleError(f"a tensor of shape {self.shape} is larger than its storage of {self.storage.size}")
        reach = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and reach >= self.storage.size:
            raise PickleError(f"a tensor of shape {self.shape} reaches beyond its storage of {self.storage.size}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Global:
    """A name of the fixed list, e.g. `torch FloatStorage`."""

    name: str


def load(stream: bytes) -> object:
    """What the pickle `stream` describes.

    Raises:
      PickleError: damaged, too long, or with an instruction, a name or a call that is not on the lists.
    """
    if len(stream) > MAX_BYTES:
        raise PickleError(f"its index is longer than {MAX_BYTES // 2**20} MiB")
    machine = _Machine()
    for name, argument in _instructions(io.BytesIO(stream)):
        if name == "STOP":
            return machine.pop()
        _STEPS[name](machine, argument)
    raise PickleError("its index has no end")


def _instructions(stream: io.BytesIO) -> Iterator[tuple[str, object]]:
    """(name, argument) of the instructions; one that is not on the list is refused before its argument is read."""
    for count, byte in enumerate(iter(lambda: stream.read(1), b"")):
        instruction = pickletools.code2op.get(byte.decode("latin-1"))
        if instruction is None:
            raise PickleError("its index is damaged")
        if instruction.name not in _STEPS and instruction.name != "STOP":
            raise PickleError(f"its index uses the instruction {instruction.name}, which no weights need")
        if count >= MAX_INSTRUCTIONS:
            raise PickleError(f"its index has more than {MAX_INSTRUCTIONS} instructions")
        try:
            argument = _argument(instruction, stream)
        except ValueError as error:  # cut off, or text that is none
            raise PickleError("its index is damaged") from error
        yield instruction.name, argument


def _argument(instruction: pickletools.OpcodeInfo, stream: io.BytesIO) -> object:
    if instruction.name != "GLOBAL":
        return instruction.arg and instruction.arg.reader(stream)
    # pickletools would interpret escapes in names, which pickle does not.
    lines = stream.readline(), stream.readline()
    if not all(line.endswith(b"\n") for line in lines):
        raise ValueError("cut off")
    return " ".join(line[:-1].decode("ascii") for line in lines)


class _Machine:
    """Stack, marks and memo of a pickle."""

    def __init__(self):
        self.stack: list = []
        self.marked: list[list] = []
        self.memo: dict[int, object] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            raise PickleError("its index is damaged")
        return self.stack.pop()

    def top(self, kind: type) -> object:
        """The last value, which must be a `kind` and stays."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise PickleError("its index is damaged")
        return self.stack[-1]

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list:
        if not self.marked:
            raise PickleError("its index is damaged")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def pop_last(self, count: int) -> list:
        return [self.pop() for _ in range(count)][::-1]

    def put(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.push(value)

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError("its index is damaged")
        self.push(self.memo[index])

    def integer(self, value: int) -> None:
        if abs(value) >= 2**63:
            raise PickleError("its index holds a number of more than 64 bits")
        self.push(value)

    def extend(self, values: list) -> None:
        self.top(list).extend(values)

    def set_items(self, values: list) -> None:
        target = self.top(dict)
        if len(values) % 2:
            raise PickleError("its index is damaged")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int):
                raise PickleError(f"its index has a {type(key).__name__} for a key")
            target[key] = value

    def global_name(self, name: str) -> None:
        if name not in _CALLS and name not in _STORAGES:
            raise PickleError(f"it asks for '{name.replace(' ', '.')}', which no weights need")
        self.push(_Global(name))

    def persistent(self) -> None:
        """`("storage", type, key, location, size)`; where the numbers lay when they were saved does not matter."""
        match self.pop():
            case ("storage", _Global(name), str(key), str(), int(size)) if name in _STORAGES and 0 <= size < _FAR:
                self.push(Storage(key, _STORAGES[name], size))
            case _:
                raise PickleError("its index refers to something that is no storage")

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not _Global or function.name not in _CALLS or type(arguments) is not tuple:
            raise PickleError("its index calls something that is no function")
        self.push(_CALLS[function.name](arguments))

    def drop_state(self) -> None:
        """BUILD would set attributes: torch keeps versions of modules so, on the dict of tensors."""
        self.pop()
        self.top(dict)


def _empty_dict(arguments: tuple) -> dict:
    """An OrderedDict is made empty and filled by SETITEMS."""
    if arguments:
        raise PickleError("its index fills an OrderedDict in an unknown way")
    return {}


def _counts(arguments: tuple) -> dict:
    """A Counter, where a learning-rate schedule keeps its milestones."""
    if len(arguments) != 1 or type(arguments[0]) is not dict:
        raise PickleError("its index fills a Counter in an unknown way")
    return arguments[0]


def _tensor(arguments: tuple) -> Tensor:
    """(storage, offset, shape, strides, requires_grad, hooks[, metadata])."""
    match arguments[:4]:
        case (Storage() as storage, offset, tuple(shape), tuple(strides)):
            return Tensor(storage, offset, shape, strides)
    raise PickleError("its index describes a tensor in an unknown way")


def _parameter(arguments: tuple) -> Tensor:
    """(tensor, requires_grad, hooks)."""
    if not arguments or type(arguments[0]) is not Tensor:
        raise PickleError("its index describes a parameter in an unknown way")
    return arguments[0]


_CALLS: dict[str, Callable[[tuple], object]] = {
    "collections OrderedDict": _empty_dict,
    "collections Counter": _counts,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
}

# The instructions of protocol 2, in which torch.save writes.
_STEPS: dict[str, Callable[[_Machine, object], None]] = {
    "PROTO": lambda m, _: None,
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _Machine.integer),
    **dict.fromkeys(("BINFLOAT", "BINUNICODE"), _Machine.push),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "TUPLE1": lambda m, _: m.push(tuple(m.pop_last(1))),
    "TUPLE2": lambda m, _: m.push(tuple(m.pop_last(2))),
    "TUPLE3": lambda m, _: m.push(tuple(m.pop_last(3))),
    "MARK": lambda m, _: m.mark(),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_to_mark())),
    "APPEND": lambda m, _: m.extend(m.pop_last(1)),
    "APPENDS": lambda m, _: m.extend(m.pop_to_mark()),
    "SETITEM": lambda m, _: m.set_items(m.pop_last(2)),
    "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.global_name,
    "BINPERSID": lambda m, _: m.persistent(),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.drop_state(),
}
