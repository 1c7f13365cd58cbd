"""A small convolutional encoder with group normalisation: from a face to one vector. Ours.

Group normalisation keeps no running statistics and looks at one example at a time: training and inference compute the
same function, and so do one device and many.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

_SMALLEST = 4
"""Side of the last map, pixels."""


class SmallEncoder(nn.Module):
    """Convolutions that halve the map to 4 x 4 cells and double the channels, then one dense layer.

    Attributes:
      outputs: length of the vector.
      width: channels of the first map; a multiple of 8.
      most: most channels of a map.
      dtype: compute dtype; statistics and the result are float32.
    """

    outputs: int
    width: int = 32
    most: int = 128
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Encode images [B, H, W, 3] in [-1, 1], H = W a power of two of at least 8 -> float32 [B, outputs]."""
        x = image.astype(self.dtype)
        for level in range(int(math.log2(image.shape[1] // _SMALLEST))):
            width = min(self.width * 2**level, self.most)
            for stride in (2, 1):
                x = nn.Conv(width, (3, 3), (stride, stride), use_bias=False, dtype=self.dtype)(x)
                x = nn.relu(nn.GroupNorm(num_groups=8, epsilon=1e-5, dtype=self.dtype)(x))
        return nn.Dense(self.outputs)(x.reshape(len(x), -1).astype(jnp.float32))
