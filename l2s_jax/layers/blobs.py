"""Blobs of masks that exist only on the device, for losses over blobs (for masks from files: `images.components`)."""

import jax
import jax.numpy as jnp

from l2s_jax.layers.components import NONE, components


def largest_blobs(labels: jax.Array, max_blobs: int, *, min_pixels: int) -> jax.Array:
    """Number the largest 4-connected components of the classes of each image.

    Other components get no id, whereas `images.components` merges them: small components of a true mask are parts of
    the face, those of a prediction are mostly errors.

    Args:
      labels: int [B, H, W] classes, 255 = ignore.
      max_blobs: number of ids.
      min_pixels: area of the smallest component that gets an id; 1 allows all.

    Returns:
      int32 [B, H, W]: 0, 1, ... from the largest component to the smallest (ties in raster order of their first
      pixels), -1 elsewhere. No gradient.
    """
    return jax.vmap(lambda image: _largest(image, max_blobs, min_pixels))(labels)


def _largest(labels: jax.Array, max_blobs: int, min_pixels: int) -> jax.Array:
    """Number the largest components of one image: [H, W] -> [H, W]."""
    root = components(labels[None])[0].reshape(-1)
    there = jnp.where(root == NONE, labels.size, root)
    sizes = jnp.zeros(labels.size, jnp.int32).at[there].add(1, mode="drop")
    found, roots = jax.lax.top_k(sizes, min(max_blobs, labels.size))  # ties are resolved by the first pixel
    ids = jnp.where(found >= max(min_pixels, 1), jnp.arange(found.size, dtype=jnp.int32), NONE)
    by_root = jnp.full(labels.size, NONE, jnp.int32).at[roots].set(ids)
    return by_root.at[there].get(mode="fill", fill_value=NONE).reshape(labels.shape)
