"""Convolution, batch normalisation, activation: the brick of the convolutional backbones."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.batch_norm import BatchNorm


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, optional activation.

    Borders are padded by kernel // 2 on BOTH sides. (`SAME` would pad strided convolutions on one side only, half a
    pixel away from the published weights.)

    Attributes:
      features: output channels.
      kernel: side of the kernel, odd.
      stride: step of the convolution.
      groups: number of channel groups; as many as input channels is a depthwise convolution.
      activation: applied at the end, or None.
      decay: of the running statistics.
      epsilon: of the normalisation.
      dtype: compute dtype.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: Callable[[jax.Array], jax.Array] | None = None
    decay: float = 0.9
    epsilon: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
        x = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            (self.stride, self.stride),
            padding=self.kernel // 2,
            feature_group_count=self.groups,
            use_bias=False,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            dtype=self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(self.decay, self.epsilon, dtype=self.dtype, name="norm")(x, train=train)
        return x if self.activation is None else self.activation(x)
