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


def descriptors(structure: jax.Array, style: jax.Array) -> jax.Array:
    """Describe what each slice says in its own frame, without the frame's position and size (ours).

    A part's place tells of every other part's, whatever a code says; what is left can be independent. So positions are
    measured in the slice's own frame: u and v, of mean 0 and variance 1 over the cells in proportion to the slice's
    energy there. The description of a slice is the mean of each channel times 1, u, v, u^2 - 1, u v, v^2 - 1, followed
    by its style. No gradient flows into the frame.

    Args:
      structure: float32 [B, K, h, w, C], slice k alone.
      style: float32 [B, K, S]; a style that all slices share, [B, S], describes none of them and is left out.

    Returns:
      float32 [B, K, 6 C + S], or [B, K, 6 C].
    """
    energy = jax.lax.stop_gradient(jnp.sum(jnp.square(structure), axis=-1))
    share = energy / (jnp.sum(energy, axis=(2, 3), keepdims=True) + 1e-8)
    u, v = (_own_frame(share, axis) for axis in (3, 2))
    frame = jnp.stack((jnp.ones_like(share), u, v, u * u - 1, u * v, v * v - 1), axis=-1)
    moments = jnp.einsum("bkhw,bkhwm,bkhwc->bkmc", share, frame, structure, precision="highest")
    moments = moments.reshape(*structure.shape[:2], -1)
    return jnp.concatenate((moments, style), axis=-1) if style.ndim == 3 else moments


def _own_frame(share: jax.Array, axis: int) -> jax.Array:
    """Standardise the cells' positions along an axis under the distribution `share` [B, K, h, w]."""
    shape = [1] * 4
    shape[axis] = share.shape[axis]
    at = jnp.arange(share.shape[axis], dtype=jnp.float32).reshape(shape)
    at = at - jnp.sum(share * at, axis=(2, 3), keepdims=True)
    variance = jnp.sum(share * at * at, axis=(2, 3), keepdims=True)
    return jnp.broadcast_to(at * jax.lax.rsqrt(jnp.maximum(variance, 1 / 12)), share.shape)  # 1 / 12: of a single cell
