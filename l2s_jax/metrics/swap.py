"""Swap scores: when one slice of a face is replaced by another face's, what changes, and does the border show? (ours)

`sums` adds up a batch; `summary` makes scores of the sums of a data set.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.reductions import append_axes


class SwapSums(NamedTuple):
    """Sums over examples, each float32 [K] by slice; add those of batches with `jax.tree.map`.

    Attributes:
      inside, outside: absolute change of [-1, 1] RGB, mean of the channels, summed over the pixels inside the region
        (of either face) and outside of it.
      area_inside, area_outside: the numbers of these pixels.
      seam: absolute difference of neighbouring pixels, one in the region and one not, in the swapped face.
      seams: the number of such pairs.
      true_seam, true_seams: the same in the photo, by its true mask.
    """

    inside: jax.Array
    outside: jax.Array
    area_inside: jax.Array
    area_outside: jax.Array
    seam: jax.Array
    seams: jax.Array
    true_seam: jax.Array
    true_seams: jax.Array


def sums(
    index: jax.Array,
    slices: int,
    image: jax.Array,
    own: jax.Array,
    partner: jax.Array,
    before: jax.Array,
    after: jax.Array,
    painted: jax.Array,
    weight: jax.Array,
) -> SwapSums:
    """Compute the sums of swapping slice `index`, in a row of K slices that is 0 elsewhere.

    Args:
      index: the slice, may be traced.
      slices: K.
      image: [B, H, W, 3], the photos.
      own: [B, H, W] of 0 and 1, the region in the photo's true mask.
      partner: [B, H, W], the region in the other face's mask.
      before: [B, H, W, 3], the decoded faces.
      after: [B, H, W, 3], decoded with the other face's slice.
      painted: [B, H, W] of 0 and 1, where the swapped face shows the region.
      weight: [B], 0 = padding or one of the two faces lacks the region.
    """
    pixel = append_axes(weight, 3)
    change = jnp.mean(jnp.abs(jnp.clip(after, -1, 1) - jnp.clip(before, -1, 1)), axis=-1)
    union = jnp.maximum(own, partner)
    seam, seams = _border(jnp.clip(after, -1, 1), painted, weight)
    true_seam, true_seams = _border(image, own, weight)
    values = SwapSums(
        inside=jnp.sum(pixel * union * change),
        outside=jnp.sum(pixel * (1 - union) * change),
        area_inside=jnp.sum(pixel * union),
        area_outside=jnp.sum(pixel * (1 - union)),
        seam=seam,
        seams=seams,
        true_seam=true_seam,
        true_seams=true_seams,
    )
    return jax.tree.map(lambda value: value * jax.nn.one_hot(index, slices), values)


def _border(image: jax.Array, region: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum |x(p) - x(q)| over neighbours p, q on two sides of the region's border, and count them."""
    total, count = 0.0, 0.0
    for axis in (1, 2):
        step = jnp.mean(jnp.abs(jnp.diff(image, axis=axis)), axis=-1)
        crossed = append_axes(weight, 3) * jnp.abs(jnp.diff(region, axis=axis))
        total, count = total + jnp.sum(crossed * step), count + jnp.sum(crossed)
    return total, count


def summary(sums: SwapSums, names: Sequence[str]) -> dict:
    """Compute scores ready for JSON.

    Returns:
      `outside_over_inside`: change per pixel outside the region over that inside, mean over the slices; `seam`:
      contrast at the border of the swapped region over that at the borders of the same region in the photos, mean over
      the slices (1 = as in true faces); `slices` {name: the same two}. None where nothing could be swapped.
    """
    found = {}
    for k, name in enumerate(names):
        value = SwapSums(*(float(np.asarray(x)[k]) for x in sums))
        inside, outside = _ratio(value.inside, value.area_inside), _ratio(value.outside, value.area_outside)
        seam, true = _ratio(value.seam, value.seams), _ratio(value.true_seam, value.true_seams)
        found[name] = {"outside_over_inside": _ratio(outside, inside), "seam": _ratio(seam, true)}
    means = {}
    for score in ("outside_over_inside", "seam"):
        values = [each[score] for each in found.values() if each[score] is not None]
        means[score] = float(np.mean(values)) if values else None
    return means | {"slices": found}


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None
