"""Minibatch standard deviation (ProGAN, arXiv 1710.10196): the discriminator sees how much its pictures differ.

Published code takes the rows of a group from all over the batch (n, n + B / group, ...). Here a group is CONSECUTIVE
rows: as the rows of a batch are in random order that is as good, and groups then lie on one device, so that one device
and many compute the same.
"""

import jax
import jax.numpy as jnp

_EPS = 1e-8


def with_deviation(x: jax.Array, group: int, weight: jax.Array | None = None) -> jax.Array:
    """Append one channel: the standard deviation over the rows of each group, averaged over pixels and channels.

    Args:
      x: float32 [B, H, W, C].
      group: consecutive rows that are compared; it divides B.
      weight: float32 [B], 0 for rows that do not count; None for 1.

    Returns:
      float32 [B, H, W, C + 1].

    Raises:
      ValueError: B is no multiple of `group`.
    """
    if x.shape[0] % group:
        raise ValueError(f"{x.shape[0]} rows do not divide into groups of {group}")
    rows = x.reshape(-1, group, *x.shape[1:])
    share = jnp.ones(rows.shape[:2]) if weight is None else weight.reshape(-1, group)
    share = (share / jnp.maximum(share.sum(axis=1, keepdims=True), _EPS))[:, :, None, None, None]
    mean = jnp.sum(share * rows, axis=1, keepdims=True)
    deviation = jnp.sqrt(jnp.sum(share * jnp.square(rows - mean), axis=1) + _EPS).mean(axis=(1, 2, 3))
    plane = jnp.broadcast_to(deviation.repeat(group)[:, None, None, None], (*x.shape[:3], 1))
    return jnp.concatenate((x, plane), axis=-1)
