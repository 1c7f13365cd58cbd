"""Scaling of vectors to length 1."""

import jax
import jax.numpy as jnp


def unit_length(x: jax.Array) -> jax.Array:
    """Scale the vectors along the last axis to length 1, in float32; a zero vector stays zero, with finite gradient."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-24))
