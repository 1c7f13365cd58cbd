"""Means as ratios of GLOBAL sums: the only reduction over examples that losses use.

`psum` is `Axis.psum` of the system contract: the identity under jit, the sum over devices under pmap and shard_map.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Psum = Callable[..., tuple]
"""pytree -> pytree, the sum over the devices that share the batch."""


def append_axes(prefix: jax.Array, ndim: int) -> jax.Array:
    """Append axes of length 1 to `prefix` until it has `ndim` axes, [B] -> [B, 1, 1], as float32."""
    prefix = jnp.asarray(prefix, jnp.float32)
    return prefix.reshape(prefix.shape + (1,) * (ndim - prefix.ndim))


def safe_divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Return `numerator / denominator`, 0 with zero gradient where the denominator is 0 (nothing to average)."""
    return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1.0), 0.0)


def global_mean(values: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the global weighted mean of `values`, in float32.

    Args:
      values: [B, ...].
      weight: the leading axes of `values` ([B], [B, K] ...) or anything that broadcasts to them; 0 = absent.
      psum: sum over the devices.

    Returns:
      float32 scalar, sum(weight * values) / sum(weight) over all elements of all devices; 0 if all weights are 0.
    """
    weight = jnp.broadcast_to(append_axes(weight, values.ndim), values.shape)
    return safe_divide(*psum((jnp.sum(weight * values.astype(jnp.float32)), jnp.sum(weight))))
