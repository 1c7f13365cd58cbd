"""An encoder of everything but the person: a small convolutional one that also sees colours as they are. Ours."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.models.small_encoder import SmallEncoder

_THUMBNAIL = 8
"""Side of the thumbnail, pixels."""


class AttributeEncoder(nn.Module):
    """A `SmallEncoder`, plus a linear function of a thumbnail.

    Group normalisation takes the level of every map away, and with it the colours of light and background, which the
    thumbnail keeps.

    Attributes:
      outputs, width, dtype: as for `SmallEncoder`.
    """

    outputs: int
    width: int = 16
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Encode images [B, H, W, 3] in [-1, 1], H = W a power of two of at least 8 -> float32 [B, outputs]."""
        small = jax.image.resize(image, (len(image), _THUMBNAIL, _THUMBNAIL, 3), "linear").reshape(len(image), -1)
        colours = nn.Dense(self.outputs, use_bias=False, name="colours")(small.astype(jnp.float32))
        return SmallEncoder(self.outputs, self.width, dtype=self.dtype, name="shapes")(image) + colours
