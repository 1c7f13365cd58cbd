"""Random Fourier features of pixel positions (Tancik et al., 2020, as in Segment Anything)."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class FourierPosition(nn.Module):
    """A position code for every cell of a grid, from random frequencies that are not trained.

    The frequencies are stored in the collection `constants`; published networks come with their own.

    Attributes:
      channels: channels of the code, even.
    """

    channels: int = 256

    @nn.compact
    def __call__(self, height: int, width: int) -> jax.Array:
        """Return float32 [height, width, channels]: sines, then cosines of random projections of (x, y) in [-1, 1]."""
        shape = (2, self.channels // 2)
        frequencies = self.variable(
            "constants", "frequencies", lambda: jax.random.normal(self.make_rng("params"), shape, jnp.float32)
        ).value
        x, y = (2 * (jnp.arange(n, dtype=jnp.float32) + 0.5) / n - 1 for n in (width, height))
        # One projection for each axis, then their sum: the grid of coordinates is never built.
        along_x, along_y = x[:, None] * frequencies[:1], y[:, None] * frequencies[1:]
        phase = 2 * jnp.pi * (along_x[None] + along_y[:, None])
        return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
