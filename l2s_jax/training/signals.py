"""Ctrl-C, SIGTERM and a terminal that hangs up as a request to stop, not as an exception in the middle of a step."""

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A stop was requested while it could be obeyed at once."""


class StopRequest:
    """Context manager: the first signal is remembered, a second one kills the process as usual.

    But a terminal that is closed may hang up several times (its shell, then the system): further SIGHUP do nothing. One
    that was ignored from the start, as `nohup` asks, stays ignored.
    """

    def __init__(self, at_once: bool):
        """`at_once` lets `interruptible` blocks be left in the middle; not for several processes that must agree."""
        self._may_obey_at_once = at_once
        self.signal = 0  # number of the signal that came, 0 = none
        self._obey_at_once = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            wanted = (number for number in SIGNALS if not (nohup and number == signal.SIGHUP))
            self._previous = {number: signal.signal(number, self._handle) for number in wanted}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that may be abandoned: a signal raises `Interrupted` in it, and one that came before does too."""
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
