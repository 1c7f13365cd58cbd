"""Scenes of faces, composed on the device from a batch of portraits (ours): all that is not a face is real, too.

The wall of a scene is a portrait of the batch, enlarged until little of its face may be left; on it stand up to three
others, cut out by their masks or whole, one large and two small, some of them decoys.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from input_pipeline.labels import IGNORE, LabelSet
from l2s_jax.systems.face_detector import portraits
from l2s_jax.types import Batch

_WALL = (1.0, 4.0)
"""How much larger than the scene the wall is."""
_STANDING = ((1, 0.35, 1.2, 0.6), (2, 0.12, 0.45, 0.8), (2, 0.12, 0.45, 0.6))
"""Of the portraits on it: how much they are shrunk first, least and largest side in sides of the scene, and how often
they are there."""
_CUT_OUT = 0.6
"""Share that are cut out by their masks."""
_DECOYS = 0.35
"""Share that is no face: else whatever stands on the wall were one."""
_KNOWN, _SEEN = 3, 4
"""Points that a mask must show, and that must not be hidden, of a face that is to be found."""


class Faces(NamedTuple):
    """The faces of scenes: the wall's, then those on it.

    Attributes:
      points: float32 [B, F, 6, 2], the middle of the portrait and the five points (x, y) in pixels of the scene.
      present: float32 [B, F, 6], whether the points are known.
      side: float32 [B, F], of the portrait, pixels.
      whole: float32 [B, F], 1 for a face that is to be found.
      hidden: float32 [B, F], 1 for one that is partly hidden, beyond the border, or of an unknown place.
    """

    points: jax.Array
    present: jax.Array
    side: jax.Array
    whole: jax.Array
    hidden: jax.Array


class Layer(NamedTuple):
    """A portrait in a scene: its left and top corner [2] and side, in pixels of the scene, and whether it is a face."""

    corner: jax.Array
    side: jax.Array
    there: jax.Array


def compose(
    keys: jax.Array, batch: Batch, label_set: LabelSet, local: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, Faces]:
    """Compose a scene on the wall of every portrait.

    Args:
      keys: typed keys [B] of the scenes of this device.
      batch: `image` float32 [G, S, S, 3] and `mask` int32 [G, S, S] of all devices, `weight` [G].
      label_set: of the masks.
      local: [G, ...] -> [B, ...], this device's rows (`Axis.local_rows`).

    Returns:
      float32 [B, S, S, 3] in [-1, 1], and the faces.
    """
    found, present = portraits.points(batch["mask"], label_set)
    fitted, share = portraits.squares(found, present)
    known = present.sum(axis=1) >= _KNOWN
    fitted = jnp.where(known[:, None, None], fitted, portraits.ALIGNED[None])
    ends = jnp.ones_like(present[:, :1])
    rows = {
        "picture": jnp.concatenate([batch["image"], _person(batch["mask"])[..., None]], axis=-1),
        "points": jnp.concatenate([fitted[:, :1], found], axis=1),
        "present": jnp.concatenate([ends, present], axis=1),
        "fitted": fitted,
        "share": jnp.where(known, share, 1),
        "known": known,
        "weight": batch["weight"],
    }
    turns = [{name: local(jnp.roll(row, -k, axis=0)) for name, row in rows.items()} for k in range(1 + len(_STANDING))]
    return jax.vmap(_scene)(keys, turns)


def _person(mask: jax.Array) -> jax.Array:
    return ((mask > 0) & (mask < IGNORE)).astype(jnp.float32)


def _scene(key: jax.Array, turns: list[dict[str, jax.Array]]) -> tuple[jax.Array, Faces]:
    """Compose one scene of `rows` of portraits, the wall's first."""
    wall, *standing = turns
    size = wall["picture"].shape[0]
    keys = jax.random.split(key, len(turns))
    layers = [_wall(keys[0], size)]
    image = placed(wall["picture"][..., :3], layers[0], size)
    alphas = [jnp.ones((size, size))]
    for key, row, (shrink, least, most, often) in zip(keys[1:], standing, _STANDING, strict=True):
        place_key, way_key, decoy_key, kind_key = jax.random.split(key, 4)
        layer = _standing(place_key, size, least * size, most * size, often * row["weight"])
        small = row["picture"].reshape(size // shrink, shrink, size // shrink, shrink, 4).mean(axis=(1, 3))
        decoy = jax.random.bernoulli(decoy_key, _DECOYS)
        small = jnp.where(decoy, _decoy(kind_key, small), small)
        alpha = jnp.where(jax.random.bernoulli(way_key, _CUT_OUT), small[..., 3:], 1.0) * layer.there
        over = placed(jnp.concatenate([small[..., :3] * alpha, alpha], axis=-1), layer, size)
        image = over[..., :3] + (1 - over[..., 3:]) * image
        layers, alphas = [*layers, layer._replace(there=layer.there * ~decoy)], [*alphas, over[..., 3]]
    return image, _faces(turns, layers, alphas)


def _decoy(key: jax.Array, picture: jax.Array) -> jax.Array:
    """Return a portrait that is no face: upside down, or with its quarters exchanged."""
    exchanged = jnp.roll(picture, (picture.shape[0] // 2, picture.shape[1] // 2), axis=(0, 1))
    return jnp.where(jax.random.bernoulli(key), picture[::-1], exchanged)


def placed(picture: jax.Array, layer: Layer, size: int) -> jax.Array:
    """Return a picture [N, N, C] as it is in a scene, float32 [size, size, C], zero where it is not."""
    scale = jnp.full(2, layer.side / picture.shape[0])
    shape = (size, size, picture.shape[2])
    return jax.image.scale_and_translate(picture, shape, (0, 1), scale, layer.corner[::-1], "linear")


def _wall(key: jax.Array, size: int) -> Layer:
    key, place = jax.random.split(key)
    side = size * _log_uniform(key, *_WALL)
    return Layer(jax.random.uniform(place, (2,)) * (size - side), side, jnp.ones(()))


def _standing(key: jax.Array, size: int, least: float, most: float, often: jax.Array) -> Layer:
    """Draw a portrait whose middle is somewhere in the scene, not at its very border."""
    key, place, there = jax.random.split(key, 3)
    side = _log_uniform(key, least, most)
    middle = size * jax.random.uniform(place, (2,), minval=0.05, maxval=0.95)
    return Layer(middle - side / 2, side, jax.random.bernoulli(there, often).astype(jnp.float32))


def _log_uniform(key: jax.Array, least: float, most: float) -> jax.Array:
    return jnp.exp(jax.random.uniform(key, (), minval=jnp.log(least), maxval=jnp.log(most)))


def _faces(turns: list[dict[str, jax.Array]], layers: list[Layer], alphas: list[jax.Array]) -> Faces:
    size, cover, faces = alphas[0].shape[0], jnp.zeros_like(alphas[0]), []
    for row, layer, alpha in reversed(list(zip(turns, layers, alphas, strict=True))):
        points, fitted = (layer.corner[None] + layer.side * row[name] for name in ("points", "fitted"))
        pixel = jnp.clip(jnp.floor(fitted).astype(jnp.int32), 0, size - 1)
        inside = jnp.all((fitted >= 0) & (fitted < size), axis=1)
        seen = inside & (cover[pixel[:, 1], pixel[:, 0]] < 0.5)
        there = layer.there * row["weight"]
        whole = there * row["known"] * (seen[1:].sum() >= _SEEN) * inside[0]
        hidden = there * (1 - whole) * jnp.any(seen)
        faces.append(Faces(points, row["present"], layer.side * row["share"], whole, hidden))
        cover = jnp.maximum(cover, alpha)
    return Faces(*(jnp.stack(each) for each in zip(*reversed(faces), strict=True)))
