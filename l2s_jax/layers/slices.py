"""Slice tables: which channels of a structure code belong to which region (Latents2Segments, section 2)."""

import jax
import jax.numpy as jnp
import numpy as np

SliceTable = tuple[tuple[int, int], ...]
"""(first, last + 1) channel of each region's slice."""

PUBLISHED: SliceTable = ((0, 2), (2, 4), (4, 6), (6, 7), (7, 8))
"""Hair, skin, nose, eyes, lips and mouth."""


def slice_masks(slices: SliceTable, channels: int) -> np.ndarray:
    """Return bool [K, channels], True where a channel belongs to the slice.

    Raises:
      ValueError: a slice is empty or extends beyond the code.
    """
    for first, end in slices:
        if not 0 <= first < end <= channels:
            raise ValueError(f"slice ({first}, {end}) does not fit a structure code of {channels} channels")
    return np.stack([(np.arange(channels) >= first) & (np.arange(channels) < end) for first, end in slices])


def masked_codes(structure: jax.Array, slices: SliceTable) -> jax.Array:
    """Return K codes in which only one slice is non-zero: [B, h, w, C] -> [B, K, h, w, C]."""
    masks = slice_masks(slices, structure.shape[-1])[None, :, None, None, :]
    return structure[:, None] * masks.astype(structure.dtype)


def unit_norm(x: jax.Array) -> jax.Array:
    """Normalise the last axis to length 1: x * rsqrt(sum x^2 + 1e-8)."""
    return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-8)


def rms_norm(x: jax.Array) -> jax.Array:
    """Normalise the last axis to root mean square 1: `unit_norm` times sqrt(number of channels) (ours)."""
    return unit_norm(x) * x.shape[-1] ** 0.5


def unit_norm_slices(structure: jax.Array, slices: SliceTable) -> jax.Array:
    """Apply `unit_norm` to each slice of [B, h, w, C] separately; channels outside all slices keep their values."""
    for first, end in slices:
        structure = structure.at[..., first:end].set(unit_norm(structure[..., first:end]))
    return structure
