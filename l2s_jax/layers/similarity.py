"""The similarity between two sets of points, by least squares, on the device."""

import jax
import jax.numpy as jnp


def similarity(points: jax.Array, targets: jax.Array, weight: jax.Array) -> jax.Array:
    """Fit rotation, scale and shift that map points to targets; `input_pipeline.landmarks.similarity` says how.

    Args:
      points, targets: float32 [N, 2] (x, y).
      weight: float32 [N], how much each pair counts.

    Returns:
      float32 [2, 3] matrix M with `target ~ M @ (x, y, 1)`; the identity if all points that count coincide or are not
      finite.
    """
    share = weight / jnp.where(weight.sum() > 0, weight.sum(), 1)
    centre, aim = (jnp.sum(share[:, None] * each, axis=0) for each in (points, targets))
    p, q = points - centre[None], targets - aim[None]
    spread = jnp.sum(share[:, None] * p * p)
    usable = jnp.isfinite(spread) & (spread > 0)
    spread = jnp.where(usable, spread, 1.0)
    real = jnp.sum(share[:, None] * p * q) / spread
    imaginary = jnp.sum(share * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])) / spread
    linear = jnp.array([[real, -imaginary], [imaginary, real]])
    shift = aim - jnp.sum(linear * centre[None], axis=1)
    return jnp.where(usable, jnp.concatenate([linear, shift[:, None]], axis=1), jnp.eye(2, 3, dtype=jnp.float32))
