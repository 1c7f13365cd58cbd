"""RoI tanh warp of images and logits: the face at full size in the middle, its surroundings compressed at the border.

Lin et al., CVPR 2019, in the variant of FaRL and SegFace, which is linear near the centre. With u in units of half the
side of an aligned square (0 in its middle, -1 and 1 at its borders) and the factor f, for x and y independently:

    squash(u)  = u                                              |u| <= 1 - f
                 sign(u) (1 - f + f tanh((|u| - 1 + f) / f))    elsewhere, always inside (-1, 1)
    stretch(v) = v                                              |v| <= 1 - f
                 sign(v) (1 - f + f artanh((|v| - 1 + f) / f))  elsewhere, the argument of artanh at most LIMIT

Pixel centres are at .5 everywhere (the (i + 0.5) convention, align_corners=False), so a square of S pixels has
u = 2 x / S - 1 for x in [0, S], and with M the affine map from the picture onto the aligned square

    warped xy  = S / 2 (squash(2 (M xy) / S - 1) + 1)
    picture xy = M^-1 (S / 2 (stretch(2 xy / S - 1) + 1))

are exact inverses of each other within the limit. A convention says where the centre of pixel i lies:

| convention | pixel i of the result is computed for | and reads the source at | template |
|---|---|---|---|
| `exact` | i + 0.5 | its position | times the side |
| `published` | i | its position | times the side - 1 |

where a source pixel lies at its index + 0.5 in both. The published code (FaRL, SegFace) thereby shifts the picture by
half a pixel in the warp and by another half in the inverse; its weights are trained with that shift.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.landmarks import TEMPLATE, five_points
from l2s_jax.layers.similarity import similarity

FACTOR = 0.8
"""Fraction of the half side that is compressed, as published: 0.2 on each side of the centre are unchanged."""
LIMIT = 0.999
"""Largest argument of artanh, as published: points further than 1 - f + 3.8 f from the centre are cut off."""


class Convention(NamedTuple):
    """The positions of pixels in the warp, see the module's docstring.

    Attributes:
      centre: position of pixel 0 of a result.
      short: the template's unit is the side minus this many pixels.
      edge: whether sampled logits repeat the border instead of falling to 0 in the outermost half pixel.
    """

    centre: float
    short: int
    edge: bool


CONVENTIONS = {"exact": Convention(0.5, 0, True), "published": Convention(0.0, 1, False)}


def alignment(landmarks: jax.Array, side: int, convention: Convention) -> jax.Array:
    """Fit the similarity that maps the five points of each face onto the template, by least squares.

    Args:
      landmarks: [B, K, 2] (x, y) in pixels, a scheme of `input_pipeline.landmarks`.
      side: side of the aligned square in pixels.

    Returns:
      float32 [B, 2, 3], picture to aligned square. If all points of a face coincide or are not finite,
      the identity.

    Raises:
      UserError: unknown scheme.
    """
    # The number of points identifies the scheme: a matrix [5, K] that selects the five points.
    choice = jnp.asarray(five_points(np.eye(landmarks.shape[1])), jnp.float32)
    points = jnp.einsum("fk,bkd->bfd", choice, landmarks, precision="highest")
    targets = jnp.asarray(TEMPLATE * (side - convention.short), jnp.float32)
    return jax.vmap(similarity, in_axes=(0, None, None))(points, targets, jnp.ones(len(TEMPLATE)))


def warp(images: jax.Array, matrices: jax.Array, convention: Convention, factor: float = FACTOR) -> jax.Array:
    """Warp images to the tanh-warped squares of their faces.

    Args:
      images: [B, S, S, C]; pixels outside are 0.
      matrices: [B, 2, 3] from `alignment`, not differentiated.
      factor: 0 < f <= 1.

    Returns:
      [B, S, S, C], bilinear.
    """
    side = images.shape[1]

    def positions(matrix: jax.Array) -> jax.Array:
        aligned = side / 2 * (_stretch(2 * _grid(side, convention) / side - 1, factor) + 1)
        # The inverse of a similarity is a scaled transpose: no solver is needed, and float32 is precise enough.
        linear = matrix[:, :2]
        scale = jnp.sum(linear[0] ** 2)
        return _product(aligned - matrix[:, 2][None, None], linear.T / scale)

    return jax.vmap(lambda image, matrix: sample(image, positions(matrix), edge=False))(images, matrices)


def unwarp(warped: jax.Array, matrices: jax.Array, convention: Convention, factor: float = FACTOR) -> jax.Array:
    """Warp squares back to the images, [B, S, S, C]; arguments as for `warp`."""
    side = warped.shape[1]

    def positions(matrix: jax.Array) -> jax.Array:
        aligned = _product(_grid(side, convention), matrix[:, :2]) + matrix[:, 2][None, None]
        return side / 2 * (_squash(2 * aligned / side - 1, factor) + 1)

    return jax.vmap(lambda square, matrix: sample(square, positions(matrix), edge=convention.edge))(warped, matrices)


def sample(image: jax.Array, positions: jax.Array, *, edge: bool) -> jax.Array:
    """Sample an image at arbitrary positions, bilinearly; differentiable in the image.

    Args:
      image: [H, W, C], pixel centres at .5.
      positions: float32 [h, w, 2] (x, y).
      edge: repeat the border pixels outside the image; False: 0.

    Returns:
      [h, w, C] of the image's dtype.
    """
    height, width, channels = image.shape
    pixels = image.reshape(height * width, channels)
    corner = jnp.floor(positions - 0.5)
    fraction = positions - 0.5 - corner
    total = 0
    for right in (0, 1):
        for down in (0, 1):
            x, y = corner[..., 0] + right, corner[..., 1] + down
            share = jnp.abs(1 - right - fraction[..., 0]) * jnp.abs(1 - down - fraction[..., 1])
            if not edge:
                share = jnp.where((x >= 0) & (x < width) & (y >= 0) & (y < height), share, 0.0)
            # Clipped as floats: positions far outside do not fit into int32.
            column = jnp.clip(x, 0, width - 1).astype(jnp.int32)
            row = jnp.clip(y, 0, height - 1).astype(jnp.int32)
            total += share[..., None].astype(image.dtype) * jnp.take(pixels, row * width + column, axis=0)
    return total


def _grid(side: int, convention: Convention) -> jax.Array:
    """Return the positions (x, y) of all pixels, float32 [side, side, 2]."""
    at = jnp.arange(side, dtype=jnp.float32) + convention.centre
    return jnp.stack(jnp.meshgrid(at, at), axis=-1)


def _product(points: jax.Array, linear: jax.Array) -> jax.Array:
    """Compute `linear @ (x, y)` for points [h, w, 2]."""
    return jnp.einsum("hwd,ed->hwe", points, linear, precision="highest")


def _squash(u: jax.Array, factor: float) -> jax.Array:
    size, inner = jnp.abs(u), 1 - factor
    return jnp.where(size <= inner, u, jnp.sign(u) * (inner + factor * jnp.tanh((size - inner) / factor)))


def _stretch(v: jax.Array, factor: float) -> jax.Array:
    size, inner = jnp.abs(v), 1 - factor
    # Clipped at 0 as well: artanh is also computed for pixels in the linear part and must be finite.
    squeezed = jnp.clip((size - inner) / factor, 0, LIMIT)
    return jnp.where(size <= inner, v, jnp.sign(v) * (inner + factor * jnp.arctanh(squeezed)))
