"""The ceiling of a device: operations a second of a plain convolution and a plain matrix product, measured.

It is measured anew beside every system, so that a machine that others use at the same time slows both alike.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from l2s_jax.bench.timing import timed

SECONDS = 0.5
"""Time for each of the two programs."""

_SIDE = {"cpu": 2048}
_MAPS = {"cpu": (8, 32, 256)}
_LARGE_SIDE, _LARGE_MAPS = 8192, (64, 64, 512)
"""Side of the matrices; images, side and channels of the maps: enough to fill the device, about 0.1 s on two cores."""


def ceiling(precision: str, seconds: float = SECONDS) -> float:
    """Return the FLOP/s of the faster of the two programs on the default device, from the best of several calls."""
    return max(
        flops / min(timed(lambda number, call=call, inputs=inputs: call(inputs[number % 2]), seconds))
        for call, inputs, flops in _programs(precision)
    )


@functools.cache
def _programs(precision: str) -> list[tuple[Callable, tuple[jax.Array, jax.Array], float]]:
    """Return a program, two inputs and the number of operations of the product and of the convolution."""
    platform, dtype = jax.default_backend(), jnp.dtype(precision)
    side = _SIDE.get(platform, _LARGE_SIDE)
    images, pixels, channels = _MAPS.get(platform, _LARGE_MAPS)
    maps, kernel = (images, pixels, pixels, channels), (3, 3, channels, channels)

    def convolve(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def program(function, left, right, flops):
        keys = jax.random.split(jax.random.key(0), 3)
        inputs = tuple(jax.random.normal(key, left, dtype) for key in keys[:2])
        return functools.partial(_swapped(function), jax.random.normal(keys[2], right, dtype)), inputs, flops

    return [
        program(jnp.matmul, (side, side), (side, side), 2.0 * side**3),
        program(convolve, maps, kernel, 2.0 * 9 * images * pixels**2 * channels**2),
    ]


def _swapped(function: Callable) -> Callable:
    return jax.jit(lambda weights, x: function(x, weights))
