"""Device prefetch: the next batches are read and transferred while the devices compute."""

import collections
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

import jax
import numpy as np

DEPTH = 2
"""Batches on the devices that no step has taken yet; with those of the steps in flight (`parallel.Throttle`), five."""

GlobalBatch = dict[str, jax.Array]


class Batches(Protocol):
    """An endless, checkpointable stream of this process's shard of each global batch."""

    def __next__(self) -> Mapping[str, np.ndarray]:
        """Return the next batch: arrays [B / processes, ...]."""

    def get_state(self) -> dict[str, Any]:
        """Return the position in the stream, JSON."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a position."""

    def close(self) -> None:
        """Stop the workers."""


class DevicePrefetcher(Iterator[GlobalBatch]):
    """An iterator that takes batches from a stream, in order, and holds the next `DEPTH` ready on the devices.

    One thread reads and transfers; nothing else may use the stream until `close`, which resets it to the position after
    the last batch TAKEN. Batches that were only prefetched are read again on resume, so none is lost.

    Args:
      batches: the stream.
      place: turns this process's rows into global arrays (`parallel.global_batch`).
      count: maximum number of batches; none beyond is read.
    """

    def __init__(self, batches: Batches, place: Callable[[Mapping[str, np.ndarray]], GlobalBatch], count: int):
        self._batches, self._place, self._left = batches, place, count
        self._state = batches.get_state()
        self._broken = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._pending: collections.deque[Future] = collections.deque()
        self._read_ahead()

    def __next__(self) -> GlobalBatch:
        """Return the next batch, at once unless the data are slower than the steps.

        Raises:
          whatever the stream raised at this batch, once all batches before it were taken.
        """
        if not self._pending:
            raise StopIteration
        batch, self._state = self._pending.popleft().result()
        self._read_ahead()
        return batch

    def get_state(self) -> dict[str, Any]:
        """Return the stream's position after the last batch taken, regardless of prefetched ones."""
        return self._state

    def close(self) -> None:
        """Stop prefetching; reset the stream to the position after the last batch taken."""
        self._pool.shutdown(cancel_futures=True)
        self._batches.set_state(self._state)

    def _read_ahead(self) -> None:
        while self._left and len(self._pending) < DEPTH:
            self._pending.append(self._pool.submit(self._read))
            self._left -= 1

    def _read(self) -> tuple[GlobalBatch, dict[str, Any]]:
        if self._broken:
            raise CancelledError  # else the stream would restart its workers only to fail again
        self._broken = True  # until the batch has arrived
        batch = self._place(next(self._batches))
        # A batch is ready only once transferred: waiting for a slow transfer counts as waiting for data.
        ready = jax.block_until_ready(batch), self._batches.get_state()
        self._broken = False
        return ready
