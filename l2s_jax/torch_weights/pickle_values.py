"""What a pickle of weights describes, as the gate returns it (pickle_gate.py): plain data that can do nothing.

Every description is checked as it is made: what stands here once is a place inside a storage, or a name.
"""

import dataclasses
import math
import pickle

import numpy as np

from l2s_jax.torch_weights.spans import Span

FAR = 2**48
"""More elements than any file holds; numpy overflows on such a shape even beside a zero."""
_MAX_RANK = 16


@dataclasses.dataclass(eq=False)
class Storage:
    """Where the numbers of tensors lie: `size` elements of `dtype`.

    Attributes:
      key: name of the storage in its file.
      place: the bytes, if they are known; those of a zip are its record `data/KEY`.
    """

    key: str
    dtype: np.dtype
    size: int
    place: Span | None = None


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
        if not all(type(n) is int and 0 <= n < FAR for n in naturals) or not rank == len(self.strides) <= _MAX_RANK:
            raise pickle.UnpicklingError("a tensor has an impossible place, shape or stride")
        large = math.prod(self.shape) > size or math.prod(max(n, 1) for n in self.shape) >= FAR
        reach = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if large or (0 not in self.shape and reach >= size):
            raise pickle.UnpicklingError(f"a tensor of shape {self.shape} does not fit its storage of {size}")


@dataclasses.dataclass(frozen=True)
class Global:
    """What a pickle asks for by its name, of the names that are allowed; it can do nothing."""

    name: str


class Record:
    """An object of a class that is not there: its attributes.

    Attributes:
      kind: name of what made it.
      state: the attributes by name; None until they are known.
    """

    def __init__(self, kind: str):
        self.kind: str = kind
        self.state: dict | None = None

    def build(self, state: object) -> None:
        """Take the attributes."""
        if self.state is not None or type(state) is not dict:
            raise pickle.UnpicklingError(f"the attributes of '{self.kind}' are not as its class writes them")
        self.state = state


class Number:
    """A numpy dtype of plain numbers."""

    def __init__(self, code: str):
        self.dtype = np.dtype(code)

    def build(self, state: object) -> None:
        """Take the byte order."""
        match state:
            case (int(), ("<" | ">" | "|") as order, *_):
                self.dtype = self.dtype.newbyteorder(order)
                return
        raise pickle.UnpicklingError("its index describes the numbers of an array in an unknown way")


class Array:
    """A numpy array.

    Attributes:
      tensor: where its numbers lie; None until that is known.
    """

    def __init__(self):
        self.tensor: Tensor | None = None

    def build(self, state: object) -> None:
        """Take shape, dtype, order of the axes and numbers."""
        match state:
            case (int(), tuple(shape), Number(dtype=dtype), bool(transposed), Span() as numbers):
                self.tensor = dense(dtype, shape, numbers, transposed=transposed)
                return
        raise pickle.UnpicklingError("its index describes an array in an unknown way")


def dense(dtype: np.dtype, shape: tuple, numbers: Span, *, transposed: bool) -> Tensor:
    """Return the tensor of an array whose numbers follow one another, the last axis (or the first) fastest."""
    size, rest = divmod(numbers.size, dtype.itemsize)
    natural = len(shape) <= _MAX_RANK and all(type(n) is int and 0 <= n < FAR for n in shape)
    if not natural or rest or math.prod(shape) != size:
        raise pickle.UnpicklingError("the shape of an array does not fit its numbers")
    strides = [math.prod(shape[:i] if transposed else shape[i + 1 :]) for i in range(len(shape))]
    return Tensor(Storage("", dtype, size, numbers), 0, shape, tuple(strides))
