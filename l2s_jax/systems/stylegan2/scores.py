"""The scores of a generator: how far its faces lie from photos, beside an untrained one, the mean face and photos.

Every photo that is scored has a generated face beside it. Its z follows from a checksum of the photo's pixels, so that
it does not depend on the photo's place in a batch.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.metrics.realism import PYRAMID, summary
from l2s_jax.models.stylegan2.generator import Generator
from l2s_jax.pixels import from_bytes
from l2s_jax.systems.stylegan2.steps import GENERATOR
from l2s_jax.types import Batch, PyTree, Scorer

TRUNCATION = 0.7
"""Of the second set of faces: usual for pictures that are looked at."""
THUMBNAIL = 64
"""Largest side in pixels at which photos are averaged: the mean of unaligned faces has no detail."""
_KEY = 0
ROWS, COLUMNS = 4, 8
"""Of a grid of samples."""
MIXED = 5
"""Faces on each side of the grid of style mixing."""

_PHOTO, _THUMBNAIL, _GENERATED, _TRUNCATED = "photo", "thumbnail", "generated", "truncated"


def scorer(generator: Generator, image_size: int) -> Scorer:
    """Return the scores of a generator of images of `image_size` px."""
    return Scorer(
        names=("generation.kernel_distance", "generation.frechet_distance"),
        collect=functools.partial(_collect, generator),
        summary=functools.partial(_summary, image_size),
        untrained=functools.partial(_untrained, generator),
        pictures=functools.partial(_pictures, generator),
    )


def checksums(image: jax.Array) -> jax.Array:
    """Compute a number from the pixels of each image [B, H, W, 3] in [-1, 1] -> uint32 [B], the same on any platform.

    Integer arithmetic on 8-bit pixels, each times an odd number of its own; sums of floats would depend on their order.
    """
    pixels = jnp.round((image + 1) * 127.5).astype(jnp.uint32).reshape(len(image), -1)
    factors = jnp.arange(pixels.shape[1], dtype=jnp.uint32) * jnp.uint32(2 * 2654435761 % 2**32) + jnp.uint32(1)
    return jnp.sum(pixels * factors[None], axis=1, dtype=jnp.uint32)


def _collect(generator: Generator, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    image = batch["image"]
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(_KEY), checksums(image))
    z = jax.vmap(lambda key: jax.random.normal(key, (generator.mapping.code,)))(keys)
    side = min(THUMBNAIL, image.shape[1])
    small = jax.image.resize(image, (len(image), side, side, 3), "linear", antialias=True)
    return {
        _PHOTO: PYRAMID.of(image),
        _THUMBNAIL: jnp.round((jnp.clip(small, -1, 1) + 1) * 127.5).astype(jnp.uint8),
        _GENERATED: PYRAMID.of(generator.apply(variables[GENERATOR], z)),
        _TRUNCATED: PYRAMID.of(generator.apply(variables[GENERATOR], z, TRUNCATION)),
    }


def _summary(image_size: int, rows: Mapping[str, np.ndarray], untrained: Mapping[str, np.ndarray] | None) -> dict:
    photos = rows[_PHOTO]
    kinds = {_GENERATED: rows[_GENERATED], _TRUNCATED: rows[_TRUNCATED]}
    if untrained is not None:
        kinds["untrained"] = untrained[_GENERATED]
        kinds["mean_face"] = np.broadcast_to(_mean_face(rows[_THUMBNAIL], image_size), photos.shape)
    distances = summary(PYRAMID.name, photos, kinds)

    def of(kind: str) -> dict[str, float | None]:
        return {"kernel_distance": distances[kind], "frechet_distance": distances["frechet"][kind]}

    return {
        "generation": of(_GENERATED),
        f"distances_from_photos_in_{PYRAMID.name}_features": {kind: of(kind) for kind in (*kinds, "photos")},
    }


def _mean_face(thumbnails: np.ndarray, image_size: int) -> np.ndarray:
    """Return the features [D] of the mean of all photos, enlarged to the size of the images."""
    mean = from_bytes(thumbnails.mean(axis=0, dtype=np.float64))
    enlarged = jax.image.resize(jnp.asarray(mean), (image_size, image_size, 3), "linear")
    return np.asarray(PYRAMID.of(enlarged[None])[0])


def _untrained(generator: Generator, variables: PyTree, rng: jax.Array) -> PyTree:
    return variables | {GENERATOR: jax.jit(generator.init)(rng, jnp.zeros((1, generator.mapping.code)))}


def _pictures(generator: Generator, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    """Draw samples without and with truncation, and faces that mix the layers of two codes: always of the same z."""
    del batch
    own, size = variables[GENERATOR], generator.mapping.code
    samples, rows, columns = jax.random.split(jax.random.key(_KEY), 3)

    def grid(z: jax.Array, truncation: float) -> jax.Array:
        images = generator.apply(own, z, truncation)
        return images.reshape(ROWS, COLUMNS, *images.shape[1:])

    z = jax.random.normal(samples, (ROWS * COLUMNS, size))
    return {
        "samples": grid(z, 1.0),
        f"samples, truncation {TRUNCATION}": grid(z, TRUNCATION),
        "style mixing: coarse layers of the row, fine layers of the column": _mixed(generator, own, rows, columns),
    }


def _mixed(generator: Generator, variables: PyTree, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Mix the codes of rows and columns; the first row and column are the faces themselves, the corner the mean."""
    size, layers = generator.mapping.code, generator.synthesis.layers

    def codes(key: jax.Array) -> jax.Array:
        w = generator.apply(variables, jax.random.normal(key, (MIXED, size)), method="codes")
        w = generator.apply(variables, w, TRUNCATION, method="truncated")
        return jnp.concatenate((generator.apply(variables, w[:1], 0.0, method="truncated"), w))

    row, column = codes(rows)[:, None, None], codes(columns)[None, :, None]
    inside = jnp.arange(MIXED + 1) > 0
    coarse = jnp.where(inside[:, None, None, None], row, column)
    fine = jnp.where(inside[None, :, None, None], column, row)
    w = jnp.where((jnp.arange(layers) < layers // 2)[None, None, :, None], coarse, fine)
    images = generator.apply(variables, w.reshape(-1, layers, size), method="images")
    return images.reshape(MIXED + 1, MIXED + 1, *images.shape[1:])
