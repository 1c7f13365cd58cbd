"""Convolution, batch normalisation, activation: the basic unit of the convolutional backbones."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.layers.depthwise import DepthwiseConv
from l2s_jax.layers.flat_dot import flat_dot_general

INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Pointwise(nn.Module):
    """A 1x1 convolution without bias as a flat matrix product, several times faster on CPUs (see `flat_dot`).

    Attributes:
      features: output channels.
      stride: stride of the convolution.
      dtype: compute dtype.
    """

    features: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the convolution: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
        kernel = self.param("kernel", INIT, (1, 1, x.shape[-1], self.features), jnp.float32)
        x = x[:, :: self.stride, :: self.stride].astype(self.dtype)
        return flat_dot_general(x, kernel[0, 0].astype(self.dtype), (((3,), (0,)), ((), ())))


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, optional activation.

    Borders are padded by kernel // 2 on BOTH sides. (`SAME` would pad strided convolutions on one side only, half a
    pixel away from the published weights.)

    Attributes:
      features: output channels.
      kernel: side of the kernel, odd.
      stride: stride of the convolution.
      groups: number of channel groups; as many as input channels is a depthwise convolution.
      activation: applied at the end, or None.
      decay: decay of the running statistics.
      epsilon: added to the variance in the normalisation.
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
        """Apply the layers: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), features]."""
        if self.kernel == 1 and self.groups == 1:
            x = Pointwise(self.features, self.stride, self.dtype, name="conv")(x)
        elif self.groups == x.shape[-1] == self.features:
            x = DepthwiseConv(self.kernel, self.stride, False, INIT, self.dtype, name="conv")(x)
        else:
            x = nn.Conv(
                self.features,
                (self.kernel, self.kernel),
                (self.stride, self.stride),
                padding=self.kernel // 2,
                feature_group_count=self.groups,
                use_bias=False,
                kernel_init=INIT,
                dtype=self.dtype,
                name="conv",
            )(x)
        x = BatchNorm(self.decay, self.epsilon, dtype=self.dtype, name="norm")(x, train=train)
        return x if self.activation is None else self.activation(x)
