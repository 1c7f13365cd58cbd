"""Swin Transformer V2 (arXiv 2111.09883) as torchvision builds it."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.models.backbones.swin import INIT, Swin, SwinBlock, WindowAttention, norm, two_by_two
from l2s_jax.models.backbones.windows import pairwise

_HIDDEN = 512  # hidden width of the network that computes the position bias
_MAX_LOG_SCALE = math.log(100.0)


def log_coordinates(window: int) -> np.ndarray:
    """Return row and column offsets on a log scale in about [-1, 1], float32 [2 * window - 1, 2 * window - 1, 2]."""
    linear = 8.0 * np.arange(1 - window, window, dtype=np.float32) / np.float32(window - 1)
    log = np.sign(linear) * np.log2(np.abs(linear) + 1.0) / np.float32(3.0)
    return np.stack(np.meshgrid(log, log, indexing="ij"), -1).astype(np.float32)


def _unit(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    # The lower bound is torch's; it keeps the gradient finite for padded tokens, whose keys are all zero.
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x**2, axis=-1, keepdims=True), 1e-24))


class QueryKeyValue(nn.Module):
    """A dense layer to query, key and value. Keys have no bias: its third of the published parameter is ignored."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: [B, N, T, C] -> [B, N, T, 3C]."""
        channels = x.shape[-1]
        kernel = self.param("kernel", INIT, (channels, 3 * channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (3 * channels,), jnp.float32)
        bias = jnp.where(np.arange(3 * channels) // channels == 1, 0.0, bias)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)[None, None, None]


class CosineWindowAttention(WindowAttention):
    """Cosine-similarity attention among the tokens of a window, with position bias from a small network."""

    def _query_key_value(self, x: jax.Array) -> jax.Array:
        return QueryKeyValue(self.dtype, name="qkv")(x)

    def _position_bias(self) -> jax.Array:
        table = jnp.asarray(log_coordinates(self.window))
        hidden = nn.relu(nn.Dense(_HIDDEN, kernel_init=INIT, name="position_hidden")(table))
        table = nn.Dense(self.heads, use_bias=False, kernel_init=INIT, name="position_bias")(hidden)
        return pairwise(16.0 * nn.sigmoid(table), self.window)

    def _scores(self, query: jax.Array, key: jax.Array) -> jax.Array:
        log_scale = self.param("logit_scale", nn.initializers.constant(math.log(10.0)), (self.heads,), jnp.float32)
        query, key = _unit(query).astype(self.dtype), _unit(key).astype(self.dtype)
        cosine = jnp.einsum("bnqhd,bnkhd->bnhqk", query, key, preferred_element_type=jnp.float32)
        return cosine * jnp.exp(jnp.minimum(log_scale, _MAX_LOG_SCALE))[None, None, :, None, None]


class PatchMergingV2(nn.Module):
    """A layer that halves the map and doubles the channels: a dense layer over 2x2 pixels, then normalisation."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), 2C]."""
        features = 2 * x.shape[-1]
        y = nn.Dense(features, use_bias=False, kernel_init=INIT, dtype=self.dtype, name="reduce")(two_by_two(x))
        return norm("norm", self.dtype)(y)


_block = partial(SwinBlock, attention=CosineWindowAttention, normalised_first=False)
_swin_v2 = partial(Swin, block=_block, merging=PatchMergingV2)
swin_v2_t = partial(_swin_v2, width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=8)
swin_v2_s = partial(_swin_v2, width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), window=8)
swin_v2_b = partial(_swin_v2, width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=8)
tiny = partial(_swin_v2, width=8, depths=(2, 1, 1, 1), heads=(1, 2, 2, 4), window=4)
