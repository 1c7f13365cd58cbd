"""Additive angular margin (ArcFace; Deng et al., CVPR 2019, arXiv 1801.07698): docs/methods/recognition.md, "Loss"."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from l2s_jax.layers.unit_length import unit_length
from l2s_jax.losses.reductions import Psum, global_mean

GUARDS = ("linear", "none")
_LEAST_SINE = 1e-6
"""Sines are at least this, so that the square root has a derivative where an embedding meets its class's centre."""


class Margin(NamedTuple):
    """What the loss says of a batch; float32 scalars over the global batch.

    Attributes:
      loss: cross entropy with the margin.
      accuracy: share of the rows that are most like their own person, without any margin.
      cosine: mean cosine between a row and the centre of its own person.
    """

    loss: jax.Array
    accuracy: jax.Array
    cosine: jax.Array


def arcface(
    embedding: jax.Array,
    centres: jax.Array,
    identity: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    scale: float,
    margin: float,
    guard: str,
) -> Margin:
    """Compute the cross entropy of people, whose true one must be nearer by an angle: equation 3 of the paper.

    Args:
      embedding: [B, D], of any length: only directions count.
      centres: [P, D], one direction for each person.
      identity: int32 [B], the people, below P. (Any other gives NaN: nothing is clamped.)
      weight: [B], 0 = padding.
      psum: sum over the devices.
      scale: factor of all cosines, s.
      margin: angle m that is added to that between a face and its person, radians.
      guard: what stands for cos(angle + m) beyond pi, where it would rise again: `linear` cos(angle) - m sin(m), as
        in the authors' first and TreB1eN's code; `none`, nothing else.

    Returns:
      the loss and what it saw.
    """
    people = jnp.arange(len(centres))
    cosine = jnp.matmul(unit_length(embedding), unit_length(centres).T, precision="highest")
    own = identity[:, None] == people[None]
    target = jnp.take_along_axis(cosine, identity[:, None], axis=1, mode="fill", fill_value=jnp.nan)
    moved = _moved(target, margin, guard)
    logits = scale * jnp.where(own, moved, cosine)
    loss = jax.nn.logsumexp(logits, axis=1) - scale * moved[:, 0]
    hit = jnp.argmax(cosine, axis=1) == identity
    means = (global_mean(values, weight, psum) for values in (loss, hit, target[:, 0]))
    return Margin(*means)


def _moved(cosine: jax.Array, margin: float, guard: str) -> jax.Array:
    """Return the cosine of an angle that is larger by the margin."""
    sine = jnp.sqrt(jnp.maximum(1.0 - cosine * cosine, _LEAST_SINE**2))
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    if guard == "none":
        return moved
    return jnp.where(cosine > math.cos(math.pi - margin), moved, cosine - margin * math.sin(margin))
