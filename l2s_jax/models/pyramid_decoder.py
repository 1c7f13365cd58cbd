"""A light decoder (ours): levels are joined from coarse to fine by 3x3 convolutions, as in a U-Net.

It classifies 2x2 pixels from every cell of the finest level at once, so that nothing but the logits is ever larger.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.fir import bilinear_double
from l2s_jax.layers.flat_dot import flat_dot_general
from l2s_jax.layers.resample import depth_to_space


class PyramidDecoder(nn.Module):
    """A decoder of feature maps at strides 4, 8, 16 and 32.

    Attributes:
      classes: K.
      widths: channels where a level is joined with the coarser ones, the finest level first; one fewer than levels.
      dtype: compute dtype; logits are float32.
    """

    classes: int
    widths: Sequence[int]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels: Sequence[jax.Array], *, train: bool) -> jax.Array:
        """Decode levels [B, h_i, w_i, C_i], each half the size of the one before, to logits [B, 4 h_0, 4 w_0, K]."""
        x = joined(levels, self.widths, self.dtype, train)
        logits = _dense(4 * self.classes, self.dtype, "classifier")(x).astype(jnp.float32)
        return bilinear_double(depth_to_space(logits))


def joined(levels: Sequence[jax.Array], widths: Sequence[int], dtype: jnp.dtype, train: bool) -> jax.Array:
    """Join levels [B, h_i, w_i, C_i], each half the size of the one before -> [B, h_0, w_0, widths[0]].

    Called in the `nn.compact` method of a module, whose layers these are.
    """
    *finer, x = levels
    for i, (level, width) in reversed(list(enumerate(zip(finer, widths, strict=True)))):
        x = bilinear_double(_dense(width, dtype, f"from_coarse{i}")(x)) + _dense(width, dtype, f"level{i}")(level)
        x = ConvNorm(width, 3, activation=nn.relu, dtype=dtype, name=f"join{i}")(nn.relu(x), train=train)
    return x


def _dense(features: int, dtype: jnp.dtype, name: str) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, dot_general=flat_dot_general, name=name)
