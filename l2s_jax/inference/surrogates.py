"""Somebody else's identity for a face that is to be de-identified: pure functions of identities of length 1.

`below(...)` and `k_same(...)` make the `surrogate` of `IdentityEditor.deidentify` from a pool of identities, float32
[N, I].
"""

import numpy as np

from input_pipeline.errors import require
from l2s_jax.inference.identity_editor import Surrogate, unit

SAME = 0.99999
"""Cosine from which two identities are those of one picture: what float32 leaves of 1."""


def below(pool: np.ndarray, threshold: float, seed: int) -> Surrogate:
    """Choose, in the random order of `seed`, the first of a pool whose cosine to the face's own identity is low enough.

    The face itself, if it is in the pool, is never chosen.

    Args:
      pool: float32 [N, I], best of faces that are nobody's.
      threshold: the cosine must be below it.
      seed: the same seed gives the same order.

    Returns:
      a surrogate; a pool in which all are too similar is its UserError.
    """

    def choose(own: np.ndarray) -> np.ndarray:
        cosine = pool @ own
        order = np.random.default_rng(seed).permutation(len(pool))
        fit = order[cosine[order] < min(threshold, SAME)]
        require(
            fit.size,
            f"none of {len(pool)} faces has a cosine below {threshold:g} to the photo's identity (the lowest is "
            f"{cosine.min():.3f}): allow a higher threshold, or give other faces",
        )
        return pool[fit[0]]

    return choose


def k_same(pool: np.ndarray, k: int) -> Surrogate:
    """Take the mean of the k identities of a pool that are nearest to the face's own, scaled to length 1.

    The face itself, if it is in the pool, does not count. After k-Same (Newton, Sweeney, Malin 2005), which averages
    pictures, among which the face itself is one of the k. There k people share each mean, and nobody can tell them
    apart with better odds than 1 / k; here every face has a mean of its own, and nothing is guaranteed.

    Args:
      pool: float32 [N, I].
      k: at least 2; the "mean" of one would be a person of the pool.

    Returns:
      a surrogate; a pool of fewer than k others is its UserError.

    Raises:
      UserError: k below 2.
    """
    require(k >= 2, f"k={k} would show one person of the gallery: take the mean of 2 or more")

    def choose(own: np.ndarray) -> np.ndarray:
        cosine = pool @ own
        others = np.flatnonzero(cosine < SAME)
        require(
            len(others) >= k,
            f"the gallery has {len(others)} other faces, but the mean is of {k}: give more photos, or a smaller k",
        )
        nearest = others[np.argsort(-cosine[others], kind="stable")[:k]]
        return unit(pool[nearest].mean(0, keepdims=True))[0]

    return choose
