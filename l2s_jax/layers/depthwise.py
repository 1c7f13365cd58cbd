"""Depthwise convolutions, with two exact lowerings.

The lowerings compute the same function (tests/layers/test_depthwise.py):

* `grouped`: a convolution with as many groups as channels, which accelerators do well. XLA's CPU backend does it 10 to
  30 times slower than the sum below, and its gradient with respect to the kernel more slowly still.
* `shifted`: the sum over taps of the shifted map times the tap, and gradients of the same form. The barriers make XLA
  pad once and add row by row; without them it computes the padding anew for every tap.
* `auto`: by the platform that the program is compiled for: `shifted` on CPUs, `grouped` elsewhere.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Lowering = Literal["grouped", "shifted", "auto"]


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
    grouped, shifted = partial(_grouped, stride=stride), partial(_shifted, stride)
    if lowering != "auto":
        return {"grouped": grouped, "shifted": shifted}[lowering](x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=shifted, default=grouped)


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
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the convolution: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), C]."""
        channels = x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (self.kernel, self.kernel, 1, channels), jnp.float32)
        y = depthwise(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        return y + bias.astype(self.dtype)[None, None, None]


def _grouped(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(kernel.shape[0] // 2,) * 2] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
@partial(jax.jit, static_argnums=0)
def _shifted(stride: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    exact = jnp.promote_types(x.dtype, jnp.float32)
    weights = kernel.astype(exact)[:, :, 0, None, None, None]
    y = 0
    for taps, views in zip(weights, _views(x, kernel.shape[0], stride), strict=True):
        row = sum(view.astype(exact) * tap for view, tap in zip(views, taps, strict=True))
        y = jax.lax.optimization_barrier(y + row)
    return y.astype(x.dtype)


def _shifted_forward(stride: int, x: jax.Array, kernel: jax.Array):
    return _shifted(stride, x, kernel), (x, kernel)


@partial(jax.jit, static_argnums=0)
def _shifted_backward(stride: int, saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    exact = jnp.promote_types(x.dtype, jnp.float32)
    dkernel = jnp.stack(
        [
            jnp.stack([jnp.sum(view.astype(exact) * dy.astype(exact), (0, 1, 2)) for view in views])
            for views in _views(x, kernel.shape[0], stride)
        ]
    )
    # Each output pixel at its place in the input; between them zeros.
    sizes = zip(x.shape[1:3], dy.shape[1:3], strict=True)
    gaps = [(0, size - (count - 1) * stride - 1, stride - 1) for size, count in sizes]
    spread = jax.lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *gaps, (0, 0, 0)])
    return _shifted(1, spread, kernel[::-1, ::-1]), dkernel[:, :, None].astype(kernel.dtype)


_shifted.defvjp(_shifted_forward, _shifted_backward)


def _views(x: jax.Array, taps: int, stride: int) -> Iterator[list[jax.Array]]:
    """Yield, for each row of taps, what each of its taps sees: [B, ceil(H / stride), ceil(W / stride), C]."""
    margin = taps // 2
    height, width = (size - (size - 1) % stride for size in x.shape[1:3])  # up to the last pixel that is seen
    x = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0))))
    for i in range(taps):
        yield [x[:, i : i + height : stride, j : j + width : stride] for j in range(taps)]
