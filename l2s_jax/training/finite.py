"""Check that a state is finite: NaN and infinite values spread, and no training recovers from them."""

import jax
import jax.numpy as jnp

from input_pipeline.errors import UserError
from l2s_jax.types import PyTree


class NotFiniteError(UserError):
    """A training met a NaN or an infinity.

    Args:
      what: the array or metric, and what became of it ("loss of step 'train' became nan").
      step: the batch number it is noticed at, from 1.
    """

    def __init__(self, what: str, step: int):
        super().__init__(
            f"{what} at step {step}; the checkpoint before it is kept, lower the learning rate or check the data"
        )
        self.step = step


def first_not_finite(state: PyTree) -> str | None:
    """Return the path of the first array that holds a NaN or an infinity, or None.

    One compiled program checks all arrays; one scalar is fetched.

    Every process must call it.

    Args:
      state: arrays on devices, sharded or not; only float and complex dtypes are checked.
    """
    floats = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    if not floats or _all_finite(list(floats.values())):
        return None
    return next(name for name, leaf in floats.items() if not _all_finite([leaf]))


@jax.jit
def _all_finite(arrays: list[jax.Array]) -> jax.Array:
    """Return a bool scalar: whether every element is finite."""
    return jnp.stack([jnp.isfinite(array).all() for array in arrays]).all()
