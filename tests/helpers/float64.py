"""Everything in float64: what still differs then is no rounding of float32."""

import jax
import jax.numpy as jnp
import orbax.checkpoint  # noqa: F401 (it needs a `jnp.dtype` that is a type)


def set_up() -> None:
    """Let JAX compute in float64, and call it float32: for a program of its own, before Flax and the library look."""
    jax.config.update("jax_enable_x64", True)
    dtype = jnp.dtype
    jnp.float32, jnp.dtype = jnp.float64, lambda kind: dtype("float64" if kind == "float32" else kind)
