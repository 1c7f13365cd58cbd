"""Two-way attention between tokens and image (Segment Anything, appendix A; SegFace, section 3.3)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from l2s_jax.layers import remat
from l2s_jax.layers.flat_dot import flat_dot_general

EPSILON = 1e-5
"""Epsilon of the layer normalisations."""


class TwoWayTransformer(nn.Module):
    """Blocks of two-way attention, followed by a last attention of the tokens to the image.

    Attributes:
      depth: number of blocks.
      heads: attention heads of every attention layer.
      mlp: hidden width of the tokens' MLPs.
      reduction: attention between tokens and image has `channels / reduction` inner channels.
      dtype: compute dtype; softmax and normalisations are float32.
    """

    depth: int = 2
    heads: int = 8
    mlp: int = 2048
    reduction: int = 2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, position: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Apply the transformer.

        Args:
          image: [B, N, C], features of the image's cells.
          position: [1, N, C], their position codes.
          tokens: [B, K, C]; they are their own position codes.

        Returns:
          (tokens [B, K, C], image [B, N, C]).
        """
        queries, keys = tokens, image
        for i in range(self.depth):
            block = TwoWayBlock(i == 0, self.heads, self.mlp, self.reduction, self.dtype, name=f"block{i}")
            queries, keys = block(queries, keys, tokens, position)
        seen = _attention(self, "tokens_to_image", self.reduction)(queries + tokens, keys + position, keys)
        return _norm(self, "norm")(queries + seen), keys


class TwoWayBlock(nn.Module):
    """Token self-attention, tokens to image, MLP, image to tokens; attributes as in `TwoWayTransformer`.

    Attributes:
      first: whether this is the first block, in which the tokens equal their position codes: these are not added again,
        and self-attention has no skip connection.
    """

    first: bool
    heads: int
    mlp: int
    reduction: int
    dtype: jnp.dtype

    @remat.block
    @nn.compact
    def __call__(
        self, queries: jax.Array, keys: jax.Array, tokens: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Update queries [B, K, C] and keys [B, N, C]; `tokens` and `position` are their position codes."""
        among = _attention(self, "tokens_to_tokens", 1)
        if self.first:
            queries = among(queries, queries, queries)
        else:
            queries = queries + among(queries + tokens, queries + tokens, queries)
        queries = _norm(self, "norm1")(queries)
        seen = _attention(self, "tokens_to_image", self.reduction)(queries + tokens, keys + position, keys)
        queries = _norm(self, "norm2")(queries + seen)
        hidden = nn.relu(nn.Dense(self.mlp, dtype=self.dtype, name="mlp1")(queries))
        queries = _norm(self, "norm3")(queries + nn.Dense(queries.shape[-1], dtype=self.dtype, name="mlp2")(hidden))
        told = _attention(self, "image_to_tokens", self.reduction)(keys + position, queries + tokens, queries)
        return queries, _norm(self, "norm4")(keys + told)


def _attention(module: nn.Module, name: str, reduction: int):
    """Create an attention layer called `name` in `module`: (queries, keys, values) -> attended."""

    def attend(queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
        channels = queries.shape[-1]
        return nn.MultiHeadDotProductAttention(
            num_heads=module.heads,
            qkv_features=channels // reduction,
            out_features=channels,
            dtype=module.dtype,
            force_fp32_for_softmax=True,
            qkv_dot_general=flat_dot_general,
            out_dot_general=flat_dot_general,
            parent=module,
            name=name,
        )(queries, inputs_k=keys, inputs_v=values)

    return attend


def _norm(module: nn.Module, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=EPSILON, dtype=module.dtype, parent=module, name=name)
