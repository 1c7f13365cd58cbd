"""Connected components inside jit, for predictions (for training masks: `images.components`)."""

from typing import Literal

import jax
import jax.numpy as jnp

from input_pipeline.labels import IGNORE

Connectivity = Literal[4, 8]
NONE = -1
"""Component of ignored pixels."""

_HALF = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}
"""One of each pair of opposite steps to a neighbour: (rows, columns)."""


def components(labels: jax.Array, *, connectivity: Connectivity = 4) -> jax.Array:
    """Label the connected components of all classes at once.

    FastSV (Zhang, Azad and Hu, 2020): every pixel points to a pixel of its component with a smaller number; roots hook
    onto the smallest root next to them and pointers jump, so that the number of rounds grows with the logarithm of the
    number of pixels, not with the length of the longest path through a component (e.g. a spiral).

    Args:
      labels: int [B, H, W] classes; 255 = ignore. Images are independent.
      connectivity: 4, or 8 to join pixels that touch at a corner too.

    Returns:
      int32 [B, H, W], the number y W + x of the component's first pixel in raster order; -1 on ignored pixels. No
      gradient.
    """
    if connectivity not in _HALF:
        raise ValueError(f"connectivity {connectivity} is neither 4 nor 8")
    return jax.vmap(lambda image: _components(image, connectivity))(jax.lax.stop_gradient(labels))


def neighbours(x: jax.Array, fill: int | bool, connectivity: Connectivity = 4) -> list[jax.Array]:
    """Return views [..., H, W] of the values of each pixel's neighbours, `fill` beyond the border."""
    steps = [step for dy, dx in _HALF[connectivity] for step in ((dy, dx), (-dy, -dx))]
    return [shifted(x, dy, dx, fill) for dy, dx in steps]


def shifted(x: jax.Array, dy: int, dx: int, fill: int | bool) -> jax.Array:
    """Shift an array: y[..., i, j] = x[..., i + dy, j + dx], `fill` beyond the border."""
    height, width = x.shape[-2:]
    dy, dx = max(-height, min(height, dy)), max(-width, min(width, dx))
    inside = x[..., max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
    margins = [(0, 0)] * (x.ndim - 2) + [(max(-dy, 0), max(dy, 0)), (max(-dx, 0), max(dx, 0))]
    return jnp.pad(inside, margins, constant_values=fill)


def _components(labels: jax.Array, connectivity: Connectivity) -> jax.Array:
    """Label the connected components of one image: [H, W] -> [H, W]."""
    far = jnp.iinfo(jnp.int32).max
    joined = [other == labels for other in neighbours(labels.astype(jnp.int32), -1, connectivity)]

    def smallest_around(values):
        result = values
        for same, other in zip(joined, neighbours(values, far, connectivity), strict=True):
            result = jnp.minimum(result, jnp.where(same, other, far))
        return result

    def round_(state):
        parent, grandparent, _ = state
        candidate = smallest_around(grandparent.reshape(labels.shape)).reshape(-1)
        hooked = parent.at[parent].min(candidate)
        hooked = jnp.minimum(hooked, jnp.minimum(candidate, grandparent))
        jumped = hooked[hooked]
        return hooked, jumped, jnp.any(jumped != grandparent)

    pixels = jnp.arange(labels.size, dtype=jnp.int32)
    _, root, _ = jax.lax.while_loop(lambda state: state[2], round_, (pixels, pixels, True))
    return jnp.where(labels == IGNORE, NONE, root.reshape(labels.shape))
