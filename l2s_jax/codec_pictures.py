"""Pictures of what the code of a codec holds, for the report: slices alone, swapped, combined and moved one by one.

Every picture is decoded from a weighted mean of the codes of the same few faces, slice by slice: weights 0 and 1 take a
slice from a face, those between move it from one face to another.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax import codes
from l2s_jax.pixels import to_bytes
from l2s_jax.types import Code, Codec, PyTree

SIDE = 4
"""Pictures along each side of the swap triangle: its corners, and two between them."""
STEPS = 3
"""Steps of a traversal from one face to the next."""
STOPS = 3
"""Most faces that a traversal passes."""


class Mixture(NamedTuple):
    """The shares that faces have in each slice of the codes of R pictures, adding up to 1.

    Attributes:
      structure: float32 [R, K, N], the share of face n in the structure of slice k.
      style: float32 [R, K, N], the same for the style; if the slices have one in common, the mean over K counts.
    """

    structure: np.ndarray
    style: np.ndarray


def pictures(codec: Codec, variables: PyTree, image: np.ndarray) -> dict[str, np.ndarray]:
    """Decode the pictures of the report.

    Args:
      codec, variables: the codec and its variables.
      image: float32 [N, H, W, 3] in [-1, 1], N at least 1.

    Returns:
      arrays of evaluation.npz (docs/architecture.md): `reconstruction`, `regions`, `swaps`; of two faces or more
      `traversals` and `traversal_positions`; of three or more `triangle` and `triangle_donors`.
    """
    code = jax.jit(codec.encode)(variables, image)
    decoded = jax.jit(codec.decode)(variables, code)
    faces, slices = code.structure.shape[:2]
    views = {"reconstruction": decoded.image, "regions": decoded.regions}
    made = {name: to_bytes(view) for name, view in views.items()}

    def decode(mixture: Mixture) -> np.ndarray:
        return _decode(codec, variables, code, mixture)

    made["swaps"] = decode(swaps(faces, slices)).reshape(faces, slices, *image.shape[1:])
    if faces > 1:
        positions = traversal_positions(faces)
        moved = decode(traversals(positions, faces, slices, own_style=code.style.ndim == 3))
        made["traversals"] = moved.reshape(slices, len(positions), *image.shape[1:])
        made["traversal_positions"] = positions
    if faces > 2:
        donors = triangle_donors(slices)
        taken = np.eye(faces, dtype=np.float32)[donors]
        made |= {"triangle": decode(Mixture(taken, taken)), "triangle_donors": donors}
    return made


def swaps(faces: int, slices: int) -> Mixture:
    """Return the mixture of each face with the structure of one slice of the next: rows by face, then by slice."""
    own = np.broadcast_to(np.eye(faces, dtype=np.float32)[:, None, None], (faces, slices, slices, faces))
    taken = np.eye(slices, dtype=bool)[:, :, None]
    structure = np.where(taken, np.roll(own, 1, axis=-1), own)
    return Mixture(*(shares.reshape(-1, slices, faces) for shares in (structure, own)))


def traversal_positions(faces: int) -> np.ndarray:
    """Return where the frames of a traversal are, float32 [F]: 0 at the first face, 1 at the second, up to STOPS."""
    return np.arange(STEPS * (min(faces, STOPS) - 1) + 1, dtype=np.float32) / STEPS


def traversals(positions: np.ndarray, faces: int, slices: int, *, own_style: bool) -> Mixture:
    """Return the mixture of the first face in which one slice alone moves: rows by slice, then by position.

    It moves in straight lines from face to face. A style of its own moves with it; a style that all slices share stays
    the first face's.
    """
    path = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(faces, dtype=np.float32)))
    first = np.broadcast_to(np.eye(faces, dtype=np.float32)[0], (slices, len(path), slices, faces))
    moving = np.eye(slices, dtype=bool)[:, None, :, None]
    structure = np.where(moving, path[:, None], first)
    style = structure if own_style else first
    return Mixture(*(shares.reshape(-1, slices, faces) for shares in (structure, style)))


def triangle_donors(slices: int) -> np.ndarray:
    """Return from which of three faces each picture of the swap triangle has its slices: uint8 [R, slices].

    R = SIDE (SIDE + 1) / 2, see `codes.triangle_owners`.
    """
    return codes.triangle_owners(codes.triangle_weights(SIDE), slices).astype(np.uint8)


def _decode(codec: Codec, variables: PyTree, code: Code, mixture: Mixture) -> np.ndarray:
    """Decode mixtures of codes, as many at once as there are faces, so that one compiled function serves all."""
    rows, size = len(mixture.structure), len(code.structure)
    images = []
    for start in range(0, rows, size):
        chosen = np.minimum(np.arange(start, start + size), rows - 1)
        images.append(to_bytes(_mixed(codec, variables, code, *(shares[chosen] for shares in mixture))))
    return np.concatenate(images)[:rows]


@functools.partial(jax.jit, static_argnums=0)
def _mixed(codec: Codec, variables: PyTree, code: Code, structure: jax.Array, style: jax.Array) -> jax.Array:
    """Decode mixtures [R, K, N] of the codes of N faces: float32 [R, H, W, 3]."""
    mix = functools.partial(jnp.einsum, precision="highest")  # a share of 1 takes a slice exactly as it is
    mixed = mix("rkn,nkhwc->rkhwc", structure, code.structure)
    shares, terms = (style, "rkn,nks->rks") if code.style.ndim == 3 else (jnp.mean(style, axis=1), "rn,ns->rs")
    styles = mix(terms, shares, code.style)
    code = Code(mixed.astype(code.structure.dtype), styles.astype(code.style.dtype))
    return codec.decode(variables, code).image
