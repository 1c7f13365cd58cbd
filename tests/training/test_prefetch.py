"""Reading ahead: what is taken, in which order, and where the stream stands afterwards."""

import contextlib
import threading

import jax
import numpy as np
import pytest

from l2s_jax.training import parallel
from l2s_jax.training.prefetch import DEPTH, DevicePrefetcher
from tests.helpers.toy_system import Batches, toy_config

WAIT = 20  # seconds; a read that takes longer never happens


class Watched(Batches):
    """Tells how many batches were read; batch `fails` (from 1) cannot be."""

    def __init__(self, fails=None):
        super().__init__(toy_config())
        self.reads, self.fails, self.threads, self.attempts = threading.Semaphore(0), fails, set(), 0

    def __next__(self):
        self.attempts += 1
        self.threads.add(threading.get_ident())
        if self._next + 1 == self.fails:
            raise ZeroDivisionError
        batch = super().__next__()
        self.reads.release()
        return batch

    def await_reads(self, count):
        assert all(self.reads.acquire(timeout=WAIT) for _ in range(count))


@pytest.fixture(scope="module")
def place():
    mesh = parallel.make_mesh("jit", 1)
    return lambda batch: parallel.global_batch(batch, mesh)


def feed(batches, place, count=10**6):
    return contextlib.closing(DevicePrefetcher(batches, place, count))


def test_batches_come_in_order_as_global_arrays_on_all_devices(place):
    expected = Batches(toy_config())
    with feed(Watched(), place) as ahead:
        for _ in range(2 * DEPTH + 1):
            batch = next(ahead)
            jax.tree.map(np.testing.assert_array_equal, batch, next(expected))
            assert len(batch["image"].sharding.device_set) == jax.device_count() == 2


def test_the_next_batches_are_read_while_nobody_waits_and_no_more_than_those(place):
    stream = Watched()
    with feed(stream, place) as ahead:
        stream.await_reads(DEPTH)
        next(ahead)
        stream.await_reads(1)
        assert not stream.reads.acquire(timeout=0.2)
    assert len(stream.threads) == 1
    assert threading.get_ident() not in stream.threads


def test_the_state_is_that_of_the_batches_taken(place):
    stream = Watched()
    with feed(stream, place) as ahead:
        for taken in range(4):
            assert ahead.get_state() == {"next": taken}
            stream.await_reads(DEPTH if taken == 0 else 1)
            next(ahead)
    assert stream.get_state() == {"next": 4}
    fresh = Batches(toy_config())
    fresh.set_state({"next": 4})
    jax.tree.map(np.testing.assert_array_equal, next(stream), next(fresh))


@pytest.mark.parametrize("count", [0, 1, DEPTH + 1])
def test_no_batch_is_read_that_will_not_be_taken(place, count):
    stream = Watched()
    with feed(stream, place, count) as ahead:
        for _ in range(count):
            next(ahead)
        with pytest.raises(StopIteration):
            next(ahead)
        stream.await_reads(count)
        assert not stream.reads.acquire(timeout=0.1)


def test_an_error_waits_for_its_turn_and_leaves_the_stream_before_it(place):
    stream = Watched(fails=3)
    with feed(stream, place) as ahead:
        next(ahead)
        stream.await_reads(2)
        next(ahead)
        with pytest.raises(ZeroDivisionError):
            next(ahead)
    assert stream.get_state() == {"next": 2}


def test_after_an_error_nothing_more_is_read(place):
    """A stream that was asked again would start its workers again, to meet the same error."""
    stream = Watched(fails=2)
    with feed(stream, place) as ahead:
        next(ahead)
        with pytest.raises(ZeroDivisionError):
            next(ahead)
    assert stream.attempts == 2


def test_closing_waits_for_the_thread(place):
    before = threading.active_count()
    with feed(Watched(), place) as ahead:
        next(ahead)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
