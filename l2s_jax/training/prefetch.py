"""Batches on their way to the devices: the next ones are read and transferred while the devices compute."""

import collections
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

import jax
import numpy as np

AHEAD = 2
"""Batches on the devices that no step has taken yet; those of the steps in flight (`parallel.Throttle`) make five."""

GlobalBatch = dict[str, jax.Array]


class Batches(Protocol):
    """An endless, checkpointable stream of this process's part of each global batch."""

    def __next__(self) -> Mapping[str, np.ndarray]:
        """The next batch: arrays [B / processes, ...]."""

    def get_state(self) -> dict[str, Any]:
        """The position in the stream, JSON."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a position."""

    def close(self) -> None:
        """Ends workers."""


class Feed:
    """Takes batches from a stream, in order, and holds the next `AHEAD` ready on the devices.

    One thread reads and transfers; nobody else may use the stream until `close`, which puts it back to where the
    batches TAKEN end. What was read ahead is read again by whoever goes on, so a resumed run misses nothing.

    Args:
      batches: the stream.
      place: from this process's rows to global arrays (`parallel.global_batch`).
      count: the most batches that will be taken; none beyond is read.
    """

    def __init__(self, batches: Batches, place: Callable[[Mapping[str, np.ndarray]], GlobalBatch], count: int):
        self._batches, self._place, self._left = batches, place, count
        self._state = batches.get_state()
        self._broken = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._pending: collections.deque[Future] = collections.deque()
        self._read_ahead()

    def take(self) -> GlobalBatch:
        """The next batch; returns at once unless the data are slower than the steps.

        Raises:
          what the stream raises at this batch, after all batches before it were taken.
        """
        batch, self._state = self._pending.popleft().result()
        self._read_ahead()
        return batch

    def get_state(self) -> dict[str, Any]:
        """The position of the stream after the last batch taken, however much was read ahead."""
        return self._state

    def close(self) -> None:
        """Stops reading; the stream is left where the batches taken end."""
        self._pool.shutdown(cancel_futures=True)
        self._batches.set_state(self._state)

    def _read_ahead(self) -> None:
        while self._left and len(self._pending) < AHEAD:
            self._pending.append(self._pool.submit(self._read))
            self._left -= 1

    def _read(self) -> tuple[GlobalBatch, dict[str, Any]]:
        if self._broken:
            raise CancelledError  # the stream would start its workers again, to meet the same error
        self._broken = True  # until the batch is there
        batch = self._place(next(self._batches))
        # Only a batch that has arrived is ready: the wait for a slow transfer is a wait for data.
        ready = jax.block_until_ready(batch), self._batches.get_state()
        self._broken = False
        return ready
