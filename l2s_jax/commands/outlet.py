"""Standard output and error whose reader may go away: that silences them, and ends no work. Imports nothing heavy."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_NOBODY_THERE = (errno.EPIPE, errno.EIO)  # a pipe that was closed (`| head`), a terminal that was


class Outlet:
    """A text stream that nothing is raised from: after the first failure what is written goes nowhere.

    Attributes:
      error: that failure, None where nobody reads any more, which is no fault.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """As any stream, but for errors."""
        with self._silenced():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As any stream, but for errors."""
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
            # What the buffer still holds would fail again at every flush, the interpreter's last one too.
            with contextlib.suppress(io.UnsupportedOperation), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def outlets() -> Iterator[Outlet]:
    """Makes outlets of standard output and standard error; flushes them at the end. Yields that of the output.

    A stream that the process was started without (`>&-`) is one that goes nowhere.
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
