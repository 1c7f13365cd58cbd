"""What the network shall say of a scene, and how wrong it is: "Objects as Points" (arXiv 1904.07850), with the
regression at all cells near a face, weighted by their heat (as in TTFNet, arXiv 1909.00700), not at one alone."""

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, safe_divide
from l2s_jax.systems.face_detector.network import STRIDE, UNIT, cells
from l2s_jax.systems.face_detector.scenes import Faces

_SPREAD = 1 / 20
"""Standard deviation of a face's heat, in sides; at least half a cell."""
_IGNORED = 0.3
"""Distance from the middle of a half-hidden face, in sides, up to which the network may say what it likes."""
_WARM = 0.1
"""Heat from which a cell learns side and points."""


def terms(outputs: jax.Array, faces: Faces, weight: jax.Array, psum: Psum) -> dict[str, jax.Array]:
    """Compute the loss terms `heat`, `side` and `points`, means over the faces (the cells near them) of all devices.

    Args:
      outputs: of the network, float32 [B, h, w, 14].
      faces: of the scenes.
      weight: [B], 0 = padding.
      psum: sum over the devices.
    """
    at = cells(*outputs.shape[1:3])[None, :, :, None]  # [1, h, w, 1, 2]
    away = at - faces.points[:, None, None, :, 0]  # [B, h, w, F, 2]
    side = faces.side[:, None, None]
    spread = jnp.maximum(_SPREAD * side, STRIDE / 2)
    near = jnp.exp(-jnp.square(away).sum(axis=-1) / (2 * spread**2))
    here = jnp.max(jnp.abs(away), axis=-1) <= STRIDE / 2
    each = jnp.where(here, 1.0, near) * faces.whole[:, None, None]
    heat, owner = each.max(axis=-1), each.argmax(axis=-1)[..., None]
    ignored = jnp.any((jnp.max(jnp.abs(away), axis=-1) < _IGNORED * side) & (faces.hidden[:, None, None] > 0), axis=-1)

    def owned(values):  # [B, F, ...] -> [B, h, w, ...] of the face that a cell speaks of
        values = jnp.broadcast_to(values[:, None, None], (*heat.shape, *values.shape[1:]))
        return jnp.take_along_axis(values, owner.reshape(*owner.shape, *(1,) * (values.ndim - 4)), axis=3)[:, :, :, 0]

    true_side = owned(faces.side)
    relative = (owned(faces.points) - at) / true_side[..., None, None]
    warm = jnp.where(heat > _WARM, heat, 0) * weight[:, None, None]
    shown = warm[..., None] * owned(faces.present)
    side_error = jnp.abs(outputs[..., 1] - jnp.log(true_side / UNIT))
    point_error = jnp.abs(outputs[..., 2:].reshape(relative.shape) - relative).sum(axis=-1)
    cell_loss = _focal(outputs[..., 0], heat) * jnp.where(ignored & (heat < 1), 0.0, weight[:, None, None])
    sums = (
        (cell_loss.sum(), jnp.sum(weight[:, None, None] * (heat == 1))),
        (jnp.sum(warm * side_error), jnp.sum(warm)),
        (jnp.sum(shown * point_error), jnp.sum(shown)),
    )
    return {name: safe_divide(*pair) for name, pair in zip(("heat", "side", "points"), psum(sums), strict=True)}


def _focal(logit: jax.Array, heat: jax.Array) -> jax.Array:
    """Return the focal loss of cells, equation 1 of the paper (alpha 2, beta 4)."""
    p, log_p, log_not = jax.nn.sigmoid(logit), jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)
    return -jnp.where(heat == 1, (1 - p) ** 2 * log_p, (1 - heat) ** 4 * p**2 * log_not)
