"""Silence standard output and error once their reader has gone away, without ending the work. Imports nothing heavy."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_NOBODY_THERE = (errno.EPIPE, errno.EIO)  # a closed pipe (`| head`), a closed terminal


class Outlet:
    """A text stream that never raises: after the first failure all output is discarded.

    Attributes:
      error: the first failure, or None; a reader that has gone away is not a failure.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write as any stream does, but never raise."""
        with self._silenced():
            self._stream.write(text)
        return len(text)

    def write_bytes(self, content: bytes) -> None:
        """Write bytes to the file below the stream, but never raise."""
        with self._silenced():
            self._stream.flush()
            self._stream.buffer.write(content)
            self._stream.buffer.flush()

    def flush(self) -> None:
        """Flush as any stream does, but never raise."""
        with self._silenced():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _silenced(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _NOBODY_THERE:
                self.error = error
            # The rest of the buffer would fail again at every flush, including the interpreter's last one.
            with contextlib.suppress(io.UnsupportedOperation), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def outlets() -> Iterator[Outlet]:
    """Wrap standard output and standard error in outlets; flush both at the end. Yields the outlet of the output.

    If the process was started without a stream (`>&-`), what is written to it is discarded.
    """
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        out, err = Outlet(sys.stdout or nowhere), Outlet(sys.stderr or nowhere)
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            yield out
        finally:
            out.flush()
            err.flush()
