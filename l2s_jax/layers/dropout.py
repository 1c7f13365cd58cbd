"""Dropout and stochastic depth, which drop the same of a batch on any number of devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.layers.shared_batch import BatchLayer
from l2s_jax.types import GLOBAL_VIEW, Axis, example_rngs

RNG = "dropout"
"""Name of the rng collection that training must pass to `apply`."""


def drop_rates(deepest: float, blocks: int) -> tuple[float, ...]:
    """Return the rates of `blocks` blocks, growing linearly from 0 at the first to `deepest` at the last."""
    return tuple(np.linspace(0.0, deepest, blocks).tolist())


class Dropout(BatchLayer):
    """Dropout: zeroes random elements and scales up the others to keep the expectation.

    Attributes:
      rate: probability with which an element is dropped, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, axis: Axis = GLOBAL_VIEW) -> jax.Array:
        """Apply to x [B, ...], keeping shape and dtype; the identity outside training, which needs rng `dropout`."""
        if not train or self.rate == 0.0:
            return x
        keys = example_rngs(self.make_rng(RNG), axis, len(x))
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, jnp.float32(1.0 - self.rate), self._drawn(x)))(keys)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0).astype(x.dtype)

    def _drawn(self, x: jax.Array) -> tuple[int, ...]:
        return x.shape[1:]


class DropPath(Dropout):
    """Stochastic depth (arXiv 1603.09382): zeroes a residual branch for random examples, not single elements."""

    def _drawn(self, x: jax.Array) -> tuple[int, ...]:
        return (1,) * (x.ndim - 1)
