"""Time compiled programs."""

import time
from collections.abc import Callable

import jax

FEWEST, MOST = 3, 100
"""Timed calls of a program, whatever they take."""


def timed(call: Callable[[int], object], seconds: float, fewest: int = FEWEST) -> list[float]:
    """Call once to warm up, then for about `seconds`; return the seconds of each timed call.

    Args:
      call: number of the call, from 0 -> arrays that are ready when the work is done. Consecutive calls should get
        different inputs.
      seconds: no further call begins after this time.
      fewest: least number of timed calls.
    """
    jax.block_until_ready(call(0))
    times: list[float] = []
    while len(times) < fewest or (sum(times) < seconds and len(times) < MOST):
        started = time.perf_counter()
        jax.block_until_ready(call(len(times) + 1))
        times.append(time.perf_counter() - started)
    return times
