"""Losses of landmark positions: wing (Feng et al., CVPR 2018, arXiv 1711.06753) and mean square."""

import math

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, global_mean

KINDS = ("wing", "mean_square")


def wing(
    found: jax.Array, true: jax.Array, weight: jax.Array, psum: Psum, *, width: float, curvature: float
) -> jax.Array:
    """Compute the mean over coordinates of w ln(1 + |d| / e) where |d| < w, and of |d| - c beyond (equation 5).

    Small errors keep a large gradient, which those of an L1 or L2 loss lose beside the large errors; c = w - w ln(1 +
    w / e) joins the two parts.

    Args:
      found, true: [B, K, 2] in any unit.
      weight: [B], 0 = padding.
      psum: sum over the devices.
      width: w, in the same unit (published: 10 pixels of 256).
      curvature: e, in the same unit (published: 2 pixels of 256).

    Returns:
      float32 scalar.
    """
    distance = jnp.abs(found.astype(jnp.float32) - true)
    offset = width - width * math.log1p(width / curvature)
    near = width * jnp.log1p(jnp.minimum(distance, width) / curvature)
    return global_mean(jnp.where(distance < width, near, distance - offset), weight, psum)


def mean_square(found: jax.Array, true: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the mean over coordinates of the squared difference; arguments as for `wing`."""
    return global_mean(jnp.square(found.astype(jnp.float32) - true), weight, psum)
