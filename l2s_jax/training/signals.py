"""Turn Ctrl-C, SIGTERM and a closed terminal into a request to stop, not an exception in the middle of a step."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from jax.experimental import multihost_utils

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A stop was requested in a block that may be abandoned."""


class StopRequest:
    """A context manager that records the first signal; a second one kills the process as usual.

    Exception: a closed terminal may send SIGHUP several times (its shell, then the system), so further SIGHUPs do
    nothing. A SIGHUP that was ignored from the start, as under `nohup`, stays ignored.

    Several processes must stop at the same step. JAX's preemption service sees to that: it takes the SIGTERM of any of
    them, and the other signals are passed on to it as one.
    """

    def __init__(self, several: bool):
        """Set `several` if this is one of several processes of a run."""
        self._several = several
        self.signal = 0  # number of the signal received, 0 = none
        self._obey_at_once = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
            ours = {*SIGNALS} - ({signal.SIGTERM} if self._several else set())
            nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            wanted = ours - ({signal.SIGHUP} if nohup else set())
            self._previous = {number: signal.signal(number, self._handle) for number in wanted}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._several and self._previous:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def before(self, step: int) -> int:
        """Return the signal that ends the run before batch `step` + 1, or 0: the same in every process.

        Several processes must ask at every step.
        """
        if self._several:
            return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(step) else 0
        return self.signal

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark a block that may be abandoned: a signal, pending or new, raises `Interrupted` in it."""
        self._obey_at_once = not self._several
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
        if self._several:
            os.kill(os.getpid(), signal.SIGTERM)
        if self._obey_at_once:
            raise Interrupted
