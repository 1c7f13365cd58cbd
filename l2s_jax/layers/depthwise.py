"""Depthwise convolutions, with two exact lowerings.

The lowerings compute the same function (tests/layers/test_depthwise.py):

* `grouped`: a convolution with as many groups as channels, which accelerators do well. XLA's CPU backend does it 6 to
  50 times slower than the sum below.
* `shifted`: the sum over taps of the shifted map times the tap, and gradients of the same form. Without the
  barriers, after padding and after each row of taps, 7x7 sums over large maps took twice as long.
* `auto`: by the platform that the program is compiled for: `shifted` on CPUs, `grouped` elsewhere.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Lowering = Literal["grouped", "shifted", "auto"]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: jax.Array, kernel: jax.Array, stride: int = 1, lowering: Lowering = "auto") -> jax.Array:
    """Convolve each channel with its own kernel, zeros around the map.

    Args:
      x: [B, H, W, C] of any float dtype; sums are at least float32.
      kernel: [k, k, 1, C] of the same dtype, k odd; the map is padded by k // 2 on both sides.
      stride: distance of the outputs in input pixels.
      lowering: see the module's docstring.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C] in the dtype of x.
    """
    return _lowered(lowering, _grouped, _shifted, stride, x, kernel)


def _forward(x: jax.Array, kernel: jax.Array, stride: int, lowering: Lowering):
    return depthwise(x, kernel, stride, lowering), (x, kernel)


def _backward(stride: int, lowering: Lowering, saved: tuple[jax.Array, jax.Array], dy: jax.Array):
    return _lowered(lowering, _grouped_backward, _shifted_backward, stride, *saved, dy)


depthwise.defvjp(_forward, _backward)


def _lowered(lowering: Lowering, grouped: Callable, shifted: Callable, stride: int, *arrays: jax.Array):
    """Call one of two functions of (stride, *arrays)."""
    grouped, shifted = partial(grouped, stride), partial(shifted, stride)
    if lowering != "auto":
        return {"grouped": grouped, "shifted": shifted}[lowering](*arrays)
    return jax.lax.platform_dependent(*arrays, cpu=shifted, default=grouped)


class DepthwiseConv(nn.Module):
    """A depthwise convolution with the parameters of `nn.Conv`.

    Attributes:
      kernel: side of the kernel, odd.
      stride: stride of the convolution.
      use_bias: whether to add a bias.
      kernel_init: initialiser of the kernel.
      dtype: compute dtype.
    """

    kernel: int
    stride: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, lowering: Lowering = "auto") -> jax.Array:
        """Apply the convolution: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), C]."""
        channels = x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (self.kernel, self.kernel, 1, channels), jnp.float32)
        y = depthwise(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, lowering)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        return y + bias.astype(self.dtype)[None, None, None]


def _grouped(stride: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(kernel.shape[0] // 2,) * 2] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _grouped_backward(stride: int, x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(partial(_grouped, stride), x, kernel)[1](dy)


@partial(jax.jit, static_argnums=0)
def _shifted(stride: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    exact = jnp.promote_types(x.dtype, jnp.float32)
    weights = kernel.astype(exact)
    padded = _padded(x, kernel)
    height, width = _seen(x, stride)
    y = 0
    for i, row in enumerate(weights):
        views = (padded[:, i : i + height : stride, j : j + width : stride] for j in range(len(row)))
        row_sum = sum(view.astype(exact) * tap[None, None] for view, tap in zip(views, row, strict=True))
        y = jax.lax.optimization_barrier(y + row_sum)
    return y.astype(x.dtype)


@partial(jax.jit, static_argnums=0)
def _shifted_backward(stride: int, x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Each output pixel at its place in the input; between them zeros.
    gaps = [(0, size - seen, stride - 1) for size, seen in zip(x.shape[1:3], _seen(x, stride), strict=True)]
    spread = jax.lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *gaps, (0, 0, 0)])
    return depthwise(spread, kernel[::-1, ::-1], 1, "shifted"), _kernel_gradient(x, kernel, dy, stride)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array, stride: int) -> jax.Array:
    exact = jnp.promote_types(x.dtype, jnp.float32)
    padded, dy = _padded(x, kernel), dy.astype(exact)
    size = (len(x), *_seen(x, stride), x.shape[-1])

    def tap(place: jax.Array) -> jax.Array:
        view = jax.lax.dynamic_slice(padded, (0, *place, 0), size)[:, ::stride, ::stride]
        return jnp.sum(view.astype(exact) * dy, axis=(0, 1, 2))

    # One tap after the other: a program with all of them takes five times as long, and as long to compile.
    places = jnp.stack(jnp.indices(kernel.shape[:2]), -1).reshape(-1, 2)
    return jax.lax.map(tap, places).reshape(kernel.shape).astype(kernel.dtype)


def _padded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    margin = kernel.shape[0] // 2
    return jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0))))


def _seen(x: jax.Array, stride: int) -> tuple[int, int]:
    """Return height and width of x up to the last pixel that is the centre of an output."""
    return tuple(size - (size - 1) % stride for size in x.shape[1:3])
