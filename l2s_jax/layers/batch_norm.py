"""Batch normalisation with the running statistics of PyTorch."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import UserError


class BatchNorm(nn.Module):
    """Batch normalisation of each channel over batch, rows and columns.

    It differs from Flax's layer in one point, so that converted and newly trained weights behave the same: the running
    variance averages the UNBIASED variance of the batch, while the batch itself is normalised by the biased one.
    Statistics are plain means, so under `jit` they are those of the global batch, on any number of devices.

    Attributes:
      decay: weight of the old running value (1 - PyTorch's `momentum`).
      epsilon: added to the variance.
      dtype: dtype of the output; statistics are computed in float32.
    """

    decay: float = 0.9
    epsilon: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C]; in training, also update the collection `batch_stats`.

        Raises:
          UserError: in training, a channel has only a single value, which has no variance.
        """
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

        x = x.astype(jnp.float32)
        mean, var = running_mean.value, running_var.value
        if train:
            count = x.size // x.shape[-1]
            if count == 1:
                raise UserError(
                    "batch normalisation cannot train on one pixel in a batch of one: use a larger batch or image"
                )
            mean = jnp.mean(x, axis=(0, 1, 2))
            var = jnp.mean((x - _channels(mean)) ** 2, axis=(0, 1, 2))
            if not self.is_initializing():
                running_mean.value = self._moved(running_mean.value, mean)
                running_var.value = self._moved(running_var.value, var * (count / (count - 1)))
        y = (x - _channels(mean)) * _channels(jax.lax.rsqrt(var + self.epsilon) * scale) + _channels(bias)
        return y.astype(self.dtype)

    def _moved(self, old: jax.Array, new: jax.Array) -> jax.Array:
        return self.decay * old + (1.0 - self.decay) * new


def _channels(vector: jax.Array) -> jax.Array:
    return vector[None, None, None]
