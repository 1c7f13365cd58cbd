"""Bytes of an untrusted file: those that describe are counted and read in small steps, numbers stay where they lie.

A pickle says in a few bytes how many follow, so that a reader that believes it allocates what the file claims. Here a
run of bytes is a `Span`, checked against the file and read when its numbers are wanted.
"""

import dataclasses
import pickle
from typing import BinaryIO

MAX_DESCRIPTION = 4 * 2**20
"""A checkpoint of 1000 tensors with its optimiser is described by 0.5 MB, NVIDIA's three networks with their source
code by less than 2 MB (estimated). Objects take up to 100 bytes of memory for a byte."""

_CHUNK = 4096
_MAX_LINE = 256


class Budget:
    """The bytes that may still be spent on describing, over all pickles of a file."""

    def __init__(self):
        self.left = MAX_DESCRIPTION

    def spend(self, count: int) -> None:
        """Take `count` bytes.

        Raises:
          pickle.UnpicklingError: there are not as many left.
        """
        self.left -= count
        if self.left < 0:
            raise pickle.UnpicklingError(f"its index is longer than {MAX_DESCRIPTION // 2**20} MiB")


@dataclasses.dataclass(frozen=True)
class Span:
    """A run of bytes in an open file: `size` of them from `start` on."""

    file: BinaryIO
    start: int
    size: int

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
          pickle.UnpicklingError: the file has become shorter.
        """
        self.file.seek(self.start)
        data = self.file.read(self.size)
        if len(data) < self.size:
            raise pickle.UnpicklingError("it is cut off")
        return data


class Cursor:
    """A place in a span, as the file that an unpickler reads from.

    Attributes:
      budget: counts what is read, but not what is skipped.
    """

    def __init__(self, span: Span, budget: Budget):
        self._span, self.budget = span, budget
        self._at = self._chunk_at = 0
        self._chunk = b""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, or what is left of the span."""
        self.budget.spend(count)
        begin = self._at - self._chunk_at
        if begin + count > len(self._chunk):
            size = min(max(count, _CHUNK), self._span.size - self._at)
            self._chunk = Span(self._span.file, self._span.start + self._at, size).read()
            self._chunk_at, begin = self._at, 0
        data = self._chunk[begin : begin + count]
        self._at += len(data)
        return data

    def readline(self) -> bytes:
        """Return the next bytes up to the end of a line.

        Raises:
          pickle.UnpicklingError: the line does not end where names do.
        """
        ahead = self.read(_MAX_LINE)
        length = ahead.find(b"\n") + 1
        if not length:
            raise pickle.UnpicklingError("its index has a name without an end")
        self._at -= len(ahead) - length
        self.budget.left += _MAX_LINE - length
        return ahead[:length]

    def skip(self, count: int) -> Span:
        """Step over the next `count` bytes and return where they lie.

        Raises:
          pickle.UnpicklingError: there are fewer.
        """
        if count > self._span.size - self._at:
            raise pickle.UnpicklingError("it is cut off")
        skipped = Span(self._span.file, self._span.start + self._at, count)
        self._at += count
        return skipped
