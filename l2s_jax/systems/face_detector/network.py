"""The network: a small residual backbone whose levels are joined at stride 8, where every cell speaks of one face."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.conv_norm import ConvNorm
from l2s_jax.layers.flat_dot import flat_dot_general
from l2s_jax.models.backbones.mini import Mini
from l2s_jax.models.pyramid_decoder import joined
from l2s_jax.types import Detections

STRIDE, COARSEST = 8, 32
OUTPUTS = 14
"""Numbers of a cell: heat, side, and (x, y) of the middle and of five points."""
UNIT = 64.0
"""Side of a portrait, pixels, whose logarithm counts as 0."""
_PRIOR = -2.19
"""Logit of a cell before training: a face in one of ten (arXiv 1904.07850)."""
_MOST = 4.0
"""Largest logarithm of a side, of either sign: what an untrained network says stays finite."""
_FACES = 32
"""Peaks of a picture that are looked at."""


class Detector(nn.Module):
    """Heat, side and points of the face in every cell.

    Attributes:
      stem, depths, widths: of the backbone (`mini.Mini`).
      join: channels at the joined levels.
      dtype: compute dtype; the output is float32.
    """

    stem: int
    depths: Sequence[int]
    widths: Sequence[int]
    join: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """Look at images [B, H, W, 3] in [-1, 1], H and W multiples of 32.

        Returns:
          float32 [B, H / 8, W / 8, 14]: the logit of the heat, the logarithm of the side, and the portrait's middle
          and five points relative to the middle of the cell, in sides (x, y).
        """
        backbone = Mini(tuple(self.depths), tuple(self.widths), self.stem, dtype=self.dtype, name="backbone")
        levels = backbone(image, train=train)[1:]
        x = joined(levels, (self.join,) * (len(levels) - 1), self.dtype, train)
        x = ConvNorm(self.join, 3, activation=nn.relu, dtype=self.dtype, name="head")(x, train=train)
        prior = jnp.zeros(OUTPUTS).at[0].set(_PRIOR)
        dense = nn.Dense(OUTPUTS, dot_general=flat_dot_general, bias_init=lambda *_: prior, name="outputs")
        return dense(x.astype(jnp.float32))


def cells(height: int, width: int) -> jax.Array:
    """Return the middles of the cells of a map, float32 [height, width, 2] (x, y) in pixels of the image."""
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    return (jnp.stack([x, y], axis=-1) + 0.5) * STRIDE


def faces(outputs: jax.Array) -> Detections:
    """Return the faces at the peaks of the heat map: the cells that are warmer than their neighbours."""
    batch, height, width, _ = outputs.shape
    heat = jax.nn.sigmoid(outputs[..., 0])
    around = nn.max_pool(heat[..., None], (3, 3), padding="SAME")[..., 0]
    score, place = jax.lax.top_k(jnp.where(heat == around, heat, 0).reshape(batch, -1), min(_FACES, height * width))
    values = jnp.take_along_axis(outputs.reshape(batch, -1, OUTPUTS), place[..., None], axis=1)
    at = cells(height, width).reshape(-1, 2)[place]
    side = UNIT * jnp.exp(jnp.clip(values[..., 1], -_MOST, _MOST))
    points = at[:, :, None] + side[..., None, None] * values[..., 2:].reshape(batch, -1, 6, 2)
    return Detections(score, points[:, :, 0], side, points[:, :, 1:])
