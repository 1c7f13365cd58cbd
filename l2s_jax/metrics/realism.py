"""How far decoded faces lie from photos: a kernel distance in features of colour and sharpness (ours).

The Kernel Inception Distance (Binkowski et al. 2018, arXiv 1801.01401) with other features: its polynomial kernel and
unbiased estimator on `pyramid_features`, which need no trained network and therefore no licence. Values compare models
on the same faces and features only; they are no FID and no KID.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

GRID, LEVELS = 4, 4
FLOOR = 1e-2
"""Least deviation of a feature: one that is the same in all photos must not outweigh the others."""


class Features(NamedTuple):
    """A way to describe pictures by numbers.

    Attributes:
      name: says in metrics.json which features a distance is measured in.
      of: images float32 [B, H, W, 3] in [-1, 1] -> float32 [B, D]; traced.
    """

    name: str
    of: Callable[[jax.Array], jax.Array]


def pyramid_features(image: jax.Array) -> jax.Array:
    """Compute where a face is how colourful and how sharp: [B, H, W, 3] in [-1, 1] -> float32 [B, D].

    On a grid of 4x4 cells: the mean colour, and for each of four octaves of a Laplacian pyramid the logarithm of the
    mean absolute detail of the luminance.
    """
    x = jnp.clip(image.astype(jnp.float32), -1, 1)
    parts = [cells(x)]
    x = jnp.mean(x, axis=-1, keepdims=True)
    for _ in range(LEVELS):
        coarse = _halved(x)
        detail = x - coarse.repeat(2, axis=1).repeat(2, axis=2)[:, : x.shape[1], : x.shape[2]]
        parts.append(jnp.log(cells(jnp.abs(detail)) + 1e-3))
        x = coarse
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


PYRAMID = Features("pyramid", pyramid_features)
"""The features that need no trained network."""


def _halved(x: jax.Array) -> jax.Array:
    odd = ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))
    x = jnp.pad(x, odd, mode="edge")
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3]).mean((2, 4))


def cells(x: jax.Array) -> jax.Array:
    """Average [B, h, w, C] over GRID x GRID cells, by linear resizing with antialiasing -> [B, GRID, GRID, C]."""
    return jax.image.resize(x, (x.shape[0], GRID, GRID, x.shape[-1]), "linear", antialias=True)


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Compute the unbiased squared MMD with k(a, b) = (a.b / D + 1)^3, features standardised by the real ones.

    Unbiased for INDEPENDENT samples alone: decodes of the very faces in `real` lie nearer than any distribution does.

    Args:
      real: [N, D], N at least 2.
      fake: [M, D], M at least 2.

    Returns:
      a float, 0 on average if both come from one distribution; it may be negative.
    """
    mean, deviation = real.mean(axis=0), np.maximum(real.std(axis=0), FLOOR)
    real, fake = ((x.astype(np.float64) - mean) / deviation for x in (real, fake))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        values = kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    return float(within(real) + within(fake) - 2 * kernel(real, fake).mean())


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Compute the Frechet distance of the Gaussians with the samples' moments (Dowson & Landau 1982).

    |m - n|^2 + tr(A + B - 2 (A B)^(1/2)), means m, n and covariances A, B with divisor N - 1: the formula of the FID
    (Heusel et al. 2017, arXiv 1706.08500) for any features, and an FID for those of its Inception network alone. With
    A = P'P and B = Q'Q of the centred samples, tr (A B)^(1/2) is the sum of the singular values of P Q', so that no
    root of a rounding error is taken and N may be below D.

    Biased upwards, the more the fewer the rows and the more the features: compare it at equal numbers of faces alone,
    and with that of photos from other photos. Features are not standardised, so their units count.

    Args:
      real: [N, D], N at least 2.
      fake: [M, D], M at least 2.

    Returns:
      a float in the squared unit of the features, 0 for equal moments, at least 0 but for rounding.

    Raises:
      ValueError: fewer than two rows, or different numbers of features.
    """
    if min(len(real), len(fake)) < 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"samples {real.shape} and {fake.shape}: at least two rows each of the same features needed")
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    roots = []
    for x in (real, fake):
        # The R of Q R has the same R'R, with at most D rows.
        roots.append(np.linalg.qr((x - x.mean(axis=0)) / np.sqrt(len(x) - 1), mode="r"))
    shift = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    common = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return float(shift + sum(np.sum(root**2) for root in roots) - 2 * common)


def summary(name: str, real: np.ndarray, kinds: dict[str, np.ndarray]) -> dict:
    """Return the distances of each kind of decoded faces from the photos, ready for JSON.

    By kind the kernel distance, and under `frechet` the Frechet distance of the features divided by the photos'
    deviations.

    Decodes of every other face are compared with the photos of the others, and the other way round; the mean of both.
    Beside them `photos`: the same of the photos themselves, about 0. None under 8 faces.

    Args:
      name: of the features.
      real: [N, D], features of N photos.
      kinds: by name, [N, D] each, features of the decodes of the same faces in the same order.
    """

    kinds = {"photos": real} | kinds
    scale = np.maximum(real.std(axis=0), FLOOR)

    def scaled(real: np.ndarray, fake: np.ndarray) -> float:
        return frechet_distance(real / scale, fake / scale)

    def distances(measure: Callable[[np.ndarray, np.ndarray], float]) -> dict[str, float | None]:
        if len(real) < 8:
            return dict.fromkeys(kinds)
        return {
            kind: float(np.mean([measure(real[i::2], fake[1 - i :: 2]) for i in (0, 1)]))
            for kind, fake in kinds.items()
        }

    return {"features": name} | distances(kernel_distance) | {"frechet": distances(scaled)}
