"""Bilinear enlargement as two products with constant matrices, which every compiler and converter knows."""

import jax
import jax.numpy as jnp
import numpy as np


def enlarge(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Enlarge a map [B, h, w, C] to [B, *size, C], bilinearly between pixel centres, in the dtype of x.

    The same as `jax.image.resize(..., "bilinear")` and PyTorch's `interpolate` with `align_corners=False`.
    """
    if x.shape[1:3] == size:
        return x
    rows, columns = (jnp.asarray(_weights(*sides), x.dtype) for sides in zip(x.shape[1:3], size, strict=True))
    x = jnp.einsum("Hh,bhwc->bHwc", rows, x, precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns, x, precision=jax.lax.Precision.HIGHEST)


def _weights(old: int, new: int) -> np.ndarray:
    """Return the matrix [new, old] that interpolates a row of `old` pixels."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))
