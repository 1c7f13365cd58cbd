"""Edit codes: exchange, mix and restyle slices, and walk between codes or along a direction. Pure functions of arrays.

A code of one face has the shapes structure [1, K, h, w, C] and style [1, K, S] (of each region) or [1, S] (of all).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.types import Code


def split(code: Code) -> list[Code]:
    """Return the B codes of a batch one by one, each with B = 1."""
    return [jax.tree.map(lambda x, n=n: x[n : n + 1], code) for n in range(code.structure.shape[0])]


def swap_slices(code_a: Code, code_b: Code, slices: Sequence[int], style: bool = False) -> Code:
    """Return `code_a` with some structure slices of `code_b`: their shape, in the colours of `code_a`.

    With `style` the colours are those of `code_b` too; the style is [B, K, S] then, one for each region.
    """
    index = np.array(slices, np.int32)
    code = code_a.replace(structure=code_a.structure.at[:, index].set(code_b.structure[:, index]))
    return swap_styles(code, code_b, slices) if style else code


def swap_styles(code_a: Code, code_b: Code, slices: Sequence[int]) -> Code:
    """Return `code_a` with the styles [B, K, S] of some slices of `code_b`: their colours, in the shape of `code_a`."""
    index = np.array(slices, np.int32)
    return code_a.replace(style=code_a.style.at[:, index].set(code_b.style[:, index]))


def perturb_styles(code: Code, slices: Sequence[int], deviations: float, key: jax.Array) -> Code:
    """Add Gaussian noise to the styles [B, K, S] of some slices.

    Args:
      code: the codes.
      slices: those that change.
      deviations: standard deviation of the noise, relative to that of the S numbers of the slice's own style.
      key: typed PRNG key.
    """
    index = np.array(slices, np.int32)
    own = code.style[:, index]
    noise = jax.random.normal(key, own.shape, own.dtype)
    own = own + deviations * jnp.std(own, axis=-1, keepdims=True) * noise
    return code.replace(style=code.style.at[:, index].set(own))


def interpolate(code_a: Code, code_b: Code, slices: Sequence[int], steps: int) -> Code:
    """Walk in a straight line from `code_a` to `code_b` in some slices; the others stay those of `code_a`.

    The styles of these slices move along. A style [1, S] shared by all slices moves only if all of them do.

    Args:
      code_a: the code of one face, the first of the walk.
      code_b: the code of another.
      slices: those that move.
      steps: number of codes T, both ends included, at least 2.

    Returns:
      codes with B = T.
    """
    sliced = code_a.style.ndim == 3
    end = swap_slices(code_a, code_b, slices, style=sliced)
    if not sliced and len(set(slices)) == code_a.structure.shape[1]:
        end = end.replace(style=code_b.style)
    # Weights of both ends, not a start and a difference: the last code is exactly the end.
    share = jnp.linspace(0.0, 1.0, steps)

    def line(a: jax.Array, b: jax.Array) -> jax.Array:
        t = share.reshape(-1, *[1] * (a.ndim - 1))
        return (1 - t) * a + t * b

    return jax.tree.map(line, code_a, end)


def triangle_weights(side: int) -> np.ndarray:
    """Return the barycentric weights of the points of a triangle, row by row from the corner of the first face.

    Args:
      side: points along an edge, at least 2.

    Returns:
      float64 [side (side + 1) / 2, 3], rows summing to 1. Row r of the triangle has r + 1 points, from the edge of the
      second face to that of the third.
    """
    last = side - 1
    return np.array([(last - r, r - c, c) for r in range(side) for c in range(r + 1)]) / last


def triangle_owners(weights: np.ndarray, slices: int) -> np.ndarray:
    """Share K slices among three faces in proportion to their weights.

    The first face gives the first slices, the third the last ones: slice k goes to the face in whose part of [0, 1]
    the point (k + 1/2) / K lies. At a corner one face gives all, on an edge two give.

    Args:
      weights: [N, 3], see `triangle_weights`.
      slices: K.

    Returns:
      int [N, K] of 0, 1, 2.
    """
    places = (np.arange(slices) + 0.5) / slices
    ends = np.cumsum(weights, axis=1)[:, :2]
    return (places[None, :, None] >= ends[:, None] - 1e-9).sum(axis=-1)


def combine(faces: Code, owners: np.ndarray, weights: np.ndarray) -> Code:
    """Put codes together of the slices of several faces.

    Args:
      faces: codes of F faces (B = F).
      owners: int [N, K], the face that gives each slice, with its style.
      weights: [N, F], rows summing to 1: a style [F, S] shared by all slices is the mean with these weights.

    Returns:
      codes with B = N.
    """
    index = np.arange(owners.shape[1])[None]
    structure = faces.structure[owners, index]
    if faces.style.ndim == 3:
        return Code(structure, faces.style[owners, index])
    return Code(structure, jnp.asarray(weights, faces.style.dtype) @ faces.style)


def principal_directions(samples: np.ndarray, count: int) -> np.ndarray:
    """Return the leading principal components of a few samples, each as long as the standard deviation along it.

    Args:
      samples: [N, ...], N at least 2.
      count: number of directions, at most N - 1.

    Returns:
      float32 [count, ...], in the order of falling deviation; the largest element of each is positive. A direction
      along which the samples do not differ is 0.
    """
    rows = np.asarray(samples, np.float64).reshape(len(samples), -1)
    _, values, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    found = axes[:count] * values[:count, None] / np.sqrt(len(rows) - 1)
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1, keepdims=True), axis=1)
    return np.float32(np.where(largest < 0, -found, found)).reshape(count, *samples.shape[1:])


def random_directions(own: jax.Array, count: int, key: jax.Array) -> jax.Array:
    """Draw random directions for one slice or style, as large as it is itself.

    Args:
      own: structure [h, w, C] or style [S] of one slice of one face. Each number of a style moves by itself; of a
        structure each channel moves as a whole, in proportion to what it holds at each place: where nothing of the
        region is, nothing appears, and channels of other slices stay 0.
      count: number of directions.
      key: typed PRNG key.

    Returns:
      [count, ...], standard normal numbers times the standard deviation of the style, or times the structure.
    """
    normal = jax.random.normal(key, (count, own.shape[-1]), own.dtype)
    if own.ndim == 1:
        return normal * jnp.std(own)
    return normal[:, None, None] * own[None]


def traverse_structure(code: Code, index: int, direction: jax.Array, reach: float, steps: int) -> Code:
    """Walk one structure slice along a direction, from -`reach` to +`reach` times its length, around the face.

    Args:
      code: the code of one face.
      index: the slice.
      direction: [h, w, C].
      reach: how far, in lengths of `direction`.
      steps: number of codes T, at least 2; with an odd number the face itself is the middle one.

    Returns:
      codes with B = T.
    """
    codes = _repeated(code, steps)
    return codes.replace(structure=codes.structure.at[:, index].add(_line(direction, reach, steps)))


def traverse_style(code: Code, index: int, direction: jax.Array, reach: float, steps: int) -> Code:
    """Walk the style [1, K, S] of one slice along a direction [S], see `traverse_structure`."""
    codes = _repeated(code, steps)
    return codes.replace(style=codes.style.at[:, index].add(_line(direction, reach, steps)))


def _repeated(code: Code, steps: int) -> Code:
    return jax.tree.map(lambda x: jnp.repeat(x, steps, axis=0), code)


def _line(direction: jax.Array, reach: float, steps: int) -> jax.Array:
    return jnp.linspace(-reach, reach, steps).reshape(-1, *[1] * direction.ndim) * direction[None]
