"""Blobs of masks that only the device knows, for losses over blobs (those of files: `images.components`)."""

import jax
import jax.numpy as jnp

from l2s_jax.layers.components import NONE, components


def largest_blobs(labels: jax.Array, max_blobs: int, *, min_pixels: int) -> jax.Array:
    """The largest 4-connected components of the classes of each image.

    Where `images.components` joins what is left over, this leaves it out: crumbs of a true mask are parts of the
    face, crumbs of a prediction are mostly errors.

    Args:
      labels: int [B, H, W] classes, 255 = ignore.
      max_blobs: how many ids there are.
      min_pixels: area below which a component is left out; 1 keeps all.

    Returns:
      int32 [B, H, W]: 0, 1, ... from the largest component to the smallest (equal ones in raster order of their first
      pixel), -1 elsewhere. No gradient.
    """
    return jax.vmap(lambda image: _largest(image, max_blobs, min_pixels))(labels)


def _largest(labels: jax.Array, max_blobs: int, min_pixels: int) -> jax.Array:
    """[H, W] -> [H, W]."""
    root = components(labels[None])[0].reshape(-1)
    there = jnp.where(root == NONE, labels.size, root)
    sizes = jnp.zeros(labels.size, jnp.int32).at[there].add(1, mode="drop")
    found, roots = jax.lax.top_k(sizes, min(max_blobs, labels.size))  # of equal sizes the first pixel comes first
    ids = jnp.where(found >= max(min_pixels, 1), jnp.arange(found.size, dtype=jnp.int32), NONE)
    by_root = jnp.full(labels.size, NONE, jnp.int32).at[roots].set(ids)
    return by_root.at[there].get(mode="fill", fill_value=NONE).reshape(labels.shape)
