"""Bilinear enlargement as two products with constant matrices, which every compiler and converter knows."""

from collections.abc import Sequence

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


def enlarged_sum(maps: Sequence[jax.Array], size: tuple[int, int]) -> jax.Array:
    """Add up maps [B, h_i, w_i, C] enlarged to [B, *size, C]: `sum(enlarge(x, size) for x in maps)`, cheaper.

    The columns are one product: that of the matrices side by side with the maps one below the other.
    """
    dtype, exact = maps[0].dtype, jax.lax.Precision.HIGHEST
    columns = (jnp.asarray(_weights(x.shape[2], size[1]), dtype) for x in maps)
    wide = [jnp.einsum("Ww,bhwc->bhWc", w, x, precision=exact) for w, x in zip(columns, maps, strict=True)]
    rows = jnp.asarray(np.concatenate([_weights(x.shape[1], size[0]) for x in maps], axis=1), dtype)
    return jnp.einsum("Hh,bhWc->bHWc", rows, jnp.concatenate(wide, axis=1), precision=exact)


def _weights(old: int, new: int) -> np.ndarray:
    """Return the matrix [new, old] that interpolates a row of `old` pixels."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))
