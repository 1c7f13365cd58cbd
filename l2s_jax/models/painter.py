"""The published inference rule of Latents2Segments: a region is where its decode is not black (arXiv 2207.01871)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def support(regions: jax.Array, tolerance: int = 0) -> jax.Array:
    """Return where a decoded region is not black after clamping to [-1, 1] and truncation to 8 bits.

    A pixel is black when all its channels truncate to 0, that is below -1 + 2/255.

    Args:
      regions: [..., H, W, C] in about [-1, 1].
      tolerance: number of 8-bit levels above 0 that also count as black; 0 is published.

    Returns:
      bool [..., H, W].
    """
    levels = jnp.floor(jnp.clip((regions.astype(jnp.float32) + 1.0) / 2.0, 0.0, 1.0) * 255.0)
    return jnp.any(levels > tolerance, axis=-1)


def painter_map(regions: jax.Array, order: Sequence[int], tolerance: int = 0) -> jax.Array:
    """Paint the supports of the regions over each other.

    Args:
      regions: [B, K, H, W, C] decoded regions on black, in about [-1, 1].
      order: class of each of the K regions, painted from the first to the last, later over earlier. The published
        order is hair, skin, nose, eyes, lips.
      tolerance: as in `support`.

    Returns:
      int32 [B, H, W], the class painted last, 0 (background) where there is no region.

    Raises:
      ValueError: `order` does not name K classes.
    """
    if len(order) != regions.shape[1]:
        raise ValueError(f"{len(order)} classes for {regions.shape[1]} decoded regions")
    painted = support(regions, tolerance)
    result = jnp.zeros((painted.shape[0], *painted.shape[2:]), jnp.int32)
    for k, label in enumerate(order):
        result = jnp.where(painted[:, k], label, result)
    return result
