"""Where the face of a portrait is: five points from its mask, and the square of an aligned face with them (ours)."""

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import LabelSet
from l2s_jax.layers.similarity import similarity

ALIGNED = np.float32([(0.5, 0.5), (0.379, 0.478), (0.621, 0.478), (0.5, 0.578), (0.409, 0.740), (0.591, 0.740)])
"""The middle of an aligned portrait and its five points (x, y), as shares of the side: the eyes, the nose, the corners
of the mouth, from left to right in the picture. Means of 370 faces of CelebAMask-HQ, made symmetric."""
_CORNER = 0.01
"""Share of the side within which pixels of the lips belong to a corner of the mouth."""


def classes(label_set: LabelSet) -> list[tuple[int, ...]]:
    """Return the classes of the right eye, the left eye, the nose and the lips.

    Raises:
      UserError: the label set does not tell one of them.
    """
    return [label_set.region(name) for name in ("r_eye", "l_eye", "nose", "lips")]


def points(mask: jax.Array, label_set: LabelSet) -> tuple[jax.Array, jax.Array]:
    """Return the five points of portraits, and which of them the masks show.

    Args:
      mask: int32 [B, S, S] of one face each.
      label_set: its classes, see `classes`.

    Returns:
      float32 [B, 5, 2] (x, y) as shares of the side, in the order of `ALIGNED`, and float32 [B, 5], 1 or 0.
    """
    *parts, lips = (jnp.isin(mask, jnp.array(ids)).astype(jnp.float32) for ids in classes(label_set))
    column = (jnp.arange(mask.shape[2]) + 0.5) / mask.shape[2]
    across = jnp.any(lips > 0, axis=1)
    left = jnp.min(jnp.where(across, column[None], 1), axis=1)[:, None, None]
    right = jnp.max(jnp.where(across, column[None], 0), axis=1)[:, None, None]
    for inwards in (column[None, None] - left, right - column[None, None]):
        parts.append(lips * jnp.exp(-jnp.maximum(inwards, 0) / _CORNER))
    weights = jnp.stack(parts, axis=1)  # [B, 5, S, S]
    total = weights.sum(axis=(2, 3))
    present = total > 0
    x, y = (jnp.einsum(f"bpyx,{axis}->bp", weights, column) for axis in "xy")
    found = jnp.stack([x, y], axis=-1) / jnp.where(present, total, 1)[..., None]
    # Masks confuse left and right, pictures do not.
    crossed = (found[:, 0, 0] > found[:, 1, 0]) & present[:, 0] & present[:, 1]
    order = jnp.where(crossed[:, None], jnp.array([1, 0, 2, 3, 4])[None], jnp.arange(5)[None])
    found = jnp.take_along_axis(found, order[..., None], axis=1)
    return found, jnp.take_along_axis(present, order, axis=1).astype(jnp.float32)


def squares(found: jax.Array, present: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the similar image of an aligned portrait that has its points nearest to those of faces (least squares).

    Args:
      found: float32 [B, 5, 2] in any unit.
      present: float32 [B, 5], weights; at least two points count.

    Returns:
      the middle and the five points of that portrait, float32 [B, 6, 2], and its side [B].
    """
    aligned = jnp.asarray(ALIGNED)
    matrix = jax.vmap(similarity, in_axes=(None, 0, 0))(aligned[1:], found, present)
    fitted = jnp.einsum("bji,ki->bkj", matrix[:, :, :2], aligned) + matrix[:, None, :, 2]
    return fitted, jnp.hypot(matrix[:, 0, 0], matrix[:, 1, 0])
