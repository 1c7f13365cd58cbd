"""SegFace's decoder: one token per class, and logits as products of tokens and pixels (sections 3.3 and 3.4)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.layers.enlarge import enlarge
from l2s_jax.layers.flat_dot import flat_dot_general
from l2s_jax.layers.fourier_position import FourierPosition
from l2s_jax.models.two_way_transformer import TwoWayTransformer


class ClassTokenDecoder(nn.Module):
    """A decoder whose class tokens and image attend to each other; each token then classifies pixels linearly.

    Attributes:
      classes: K; token k belongs to class k of the label set.
      depth, heads, mlp: of the transformer.
      pixel_channels: channels of the pixel embeddings.
      doublings: 2 = one embedding per pixel (published); 1 = one per 2 x 2 pixels, and the logits are interpolated
        (ours, for slow machines).
      dtype: compute dtype; logits are float32.
    """

    classes: int
    depth: int = 2
    heads: int = 8
    mlp: int = 2048
    pixel_channels: int = 32
    doublings: int = 2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Decode fused features [B, h, w, C] at stride 4 to float32 logits [B, 4 h, 4 w, K]."""
        batch, height, width, channels = features.shape
        tokens = self.param("tokens", nn.initializers.normal(1.0), (self.classes, channels), jnp.float32)
        position = FourierPosition(channels, name="position")(height, width)
        transformer = TwoWayTransformer(self.depth, self.heads, self.mlp, dtype=self.dtype, name="transformer")
        queries, image = transformer(
            features.reshape(batch, height * width, channels),
            position.reshape(height * width, channels).astype(self.dtype)[None],
            jnp.broadcast_to(tokens.astype(self.dtype), (batch, *tokens.shape)),
        )
        pixels = self._pixels(image)
        logits = jnp.einsum("bnc,bkc->bnk", pixels, self._classifiers(queries), preferred_element_type=jnp.float32)
        return enlarge(_assembled(logits, height, width, self.doublings), (4 * height, 4 * width))

    def _pixels(self, image: jax.Array) -> jax.Array:
        """Compute pixel embeddings: [B, h w, C] -> [B, 4^doublings h w, pixel_channels], see `_assembled`.

        Transposed 2 x 2 convolutions of stride 2, whose windows do not overlap, are dense layers to 4 times the
        channels, reshaped to 4 pixels. No layer here uses neighbours, so pixels stay ordered by cell until the end.
        """
        for i in range(1, self.doublings + 1):
            if i > 1:
                image = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="enlarge_norm")(image)
                image = nn.gelu(image, approximate=False)
            width = self.pixel_channels * 2 ** (self.doublings - i)
            image = self._dense(4 * width, f"enlarge{i}")(image).reshape(image.shape[0], -1, width)
        return nn.gelu(image, approximate=False)

    def _classifiers(self, tokens: jax.Array) -> jax.Array:
        """Map tokens to linear classifiers, [B, K, C] -> [B, K, pixel_channels], with one MLP for all."""
        for i in range(2):
            tokens = nn.relu(self._dense(tokens.shape[-1], f"classifier{i}")(tokens))
        return self._dense(self.pixel_channels, "classifier2")(tokens)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, dtype=self.dtype, dot_general=flat_dot_general, name=name)


def _assembled(logits: jax.Array, height: int, width: int, doublings: int) -> jax.Array:
    """Order pixels by position, [B, 4^d h w, K] -> [B, 2^d h, 2^d w, K].

    For d = 2, pixel 8 i + 4 j + 2 k + l of a cell lies at (2 i + k, 2 j + l) in it.
    """
    batch, _, classes = logits.shape
    cells = logits.reshape(batch, height, width, *(2, 2) * doublings, classes)
    rows, columns = range(1, cells.ndim - 1, 2), range(2, cells.ndim - 1, 2)
    size = 2**doublings
    return cells.transpose(0, *rows, *columns, cells.ndim - 1).reshape(batch, size * height, size * width, classes)
