"""Turn Ctrl-C, SIGTERM and a closed terminal into a request to stop, not an exception in the middle of a step."""

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A stop was requested in a block that may be abandoned."""


class StopRequest:
    """A context manager that records the first signal; a second one kills the process as usual.

    Exception: a closed terminal may send SIGHUP several times (its shell, then the system), so further SIGHUPs do
    nothing. A SIGHUP that was ignored from the start, as under `nohup`, stays ignored.
    """

    def __init__(self, at_once: bool):
        """Set `at_once` to let `interruptible` blocks be abandoned; not for several processes, which must agree."""
        self._may_obey_at_once = at_once
        self.signal = 0  # number of the signal received, 0 = none
        self._obey_at_once = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
            nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            wanted = (number for number in SIGNALS if not (nohup and number == signal.SIGHUP))
            self._previous = {number: signal.signal(number, self._handle) for number in wanted}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark a block that may be abandoned: a signal, pending or new, raises `Interrupted` in it."""
        self._obey_at_once = self._may_obey_at_once
        try:
            if self.signal and self._obey_at_once:
                raise Interrupted
            yield
        finally:
            self._obey_at_once = False

    def _handle(self, number: int, frame) -> None:
        self.signal = number
        for each in self._previous:
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)
        if self._obey_at_once:
            raise Interrupted
