"""Batch normalisation with the running statistics of PyTorch."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import require
from l2s_jax.layers.shared_batch import BatchLayer
from l2s_jax.types import GLOBAL_VIEW, Axis


class BatchNorm(BatchLayer):
    """Batch normalisation of each channel over all other axes.

    It differs from Flax's layer in one point, so that converted and newly trained weights behave the same: the running
    variance averages the UNBIASED variance of the batch, while the batch itself is normalised by the biased one.
    Statistics are those of the global batch, on any number of devices.

    Attributes:
      decay: weight of the old running value (1 - PyTorch's `momentum`).
      epsilon: added to the variance.
      use_scale: whether channels are scaled by a parameter after the normalisation.
      dtype: dtype of the output; statistics are computed in float32.
    """

    decay: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, axis: Axis = GLOBAL_VIEW) -> jax.Array:
        """Normalise x [B, ..., C]; in training, also update the collection `batch_stats`.

        Args:
          x: an array of maps [B, H, W, C] or vectors [B, C].
          train: normalise by the statistics of the batch, not by the running ones.
          axis: of the devices whose rows are one batch.

        Raises:
          UserError: in training, a channel has only a single value, which has no variance.
        """
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32) if self.use_scale else jnp.ones(shape)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

        x = x.astype(jnp.float32)
        mean, var = running_mean.value, running_var.value
        if train:
            count = x.size // x.shape[-1] * axis.psum(1)
            require(
                count != 1,
                "batch normalisation cannot train on one pixel in a batch of one: use a larger batch or image",
            )
            mean = _global_mean(x, axis)
            var = _global_mean((x - _channels(mean, x)) ** 2, axis)
            if not self.is_initializing():
                running_mean.value = self._moved(running_mean.value, mean)
                running_var.value = self._moved(running_var.value, var * (count / (count - 1)))
        factor = _channels(jax.lax.rsqrt(var + self.epsilon) * scale, x)
        return ((x - _channels(mean, x)) * factor + _channels(bias, x)).astype(self.dtype)

    def _moved(self, old: jax.Array, new: jax.Array) -> jax.Array:
        return self.decay * old + (1.0 - self.decay) * new


def _global_mean(x: jax.Array, axis: Axis) -> jax.Array:
    """Return the mean of each channel over the rows of all devices."""
    return axis.pmean(jnp.mean(x, axis=tuple(range(x.ndim - 1))))


def _channels(vector: jax.Array, x: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
