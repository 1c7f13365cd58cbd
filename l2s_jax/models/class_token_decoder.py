"""One token for each class, and logits as products of tokens and pixels (SegFace, sections 3.3 and 3.4)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.layers.flat_dot import flat_dot_general
from l2s_jax.layers.fourier_position import FourierPosition
from l2s_jax.models.two_way_transformer import TwoWayTransformer


class ClassTokenDecoder(nn.Module):
    """Class tokens and image attend to each other; each token then becomes the linear classifier of its class.

    Attributes:
      classes: K; token k belongs to class k of the label set.
      pixel_channels: of the pixels' descriptors at full size.
      dtype: of the computation; logits are float32.
    """

    classes: int
    pixel_channels: int = 32
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """[B, h, w, C] fused features at stride 4 -> float32 logits [B, 4 h, 4 w, K]."""
        batch, height, width, channels = features.shape
        tokens = self.param("tokens", nn.initializers.normal(1.0), (self.classes, channels))
        position = FourierPosition(channels, name="position")(height, width)
        queries, image = TwoWayTransformer(dtype=self.dtype, name="transformer")(
            features.reshape(batch, height * width, channels),
            position.reshape(height * width, channels).astype(self.dtype)[None],
            jnp.broadcast_to(tokens.astype(self.dtype), (batch, *tokens.shape)),
        )
        pixels = self._pixels(image.reshape(features.shape))
        classifiers = self._classifiers(queries)
        return jnp.einsum("bhwc,bkc->bhwk", pixels, classifiers, preferred_element_type=jnp.float32)

    def _pixels(self, image: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, 4 h, 4 w, pixel_channels]."""
        middle = 2 * self.pixel_channels
        image = _doubled(self._dense(4 * middle, "enlarge1")(image))
        image = nn.gelu(nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="enlarge_norm")(image), approximate=False)
        image = _doubled(self._dense(4 * self.pixel_channels, "enlarge2")(image))
        return nn.gelu(image, approximate=False)

    def _classifiers(self, tokens: jax.Array) -> jax.Array:
        """[B, K, C] -> [B, K, pixel_channels], by one perceptron for all classes."""
        for i in range(2):
            tokens = nn.relu(self._dense(tokens.shape[-1], f"classifier{i}")(tokens))
        return self._dense(self.pixel_channels, "classifier2")(tokens)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, dtype=self.dtype, dot_general=flat_dot_general, name=name)


def _doubled(cells: jax.Array) -> jax.Array:
    """[B, h, w, 4 C] -> [B, 2 h, 2 w, C]: channel block 2 i + j becomes the pixel (i, j) of its cell.

    With a dense layer before it, this is a transposed 2 x 2 convolution of stride 2, whose windows do not overlap.
    """
    batch, height, width, channels = cells.shape
    cells = cells.reshape(batch, height, width, 2, 2, channels // 4)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)
