"""L1, PSNR and colour errors of reconstructed images, over the full image and inside and outside every region.

Every value is a mean over EXAMPLES of per-example values, stored as (sum, count) so that batches and devices can be
added; an example without the region is skipped.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import IGNORE
from l2s_jax.losses.reconstruction import region_masks
from l2s_jax.losses.reductions import safe_divide

PSNR_CEILING = 100.0
"""Upper limit of the PSNR in dB, so that means stay finite for perfect reconstructions."""


class ErrorSums(NamedTuple):
    """Sums over examples; add those of batches with `jax.tree.map`.

    Attributes:
      l1: float32 [R], sum of the examples' mean absolute errors, in units of [-1, 1] images.
      psnr: float32 [R], sum of the examples' PSNR in dB.
      colour: float32 [R], sum of the examples' errors of the mean colour, in units of [-1, 1] images.
      count: float32 [R], number of examples that have the region.
    """

    l1: jax.Array
    psnr: jax.Array
    colour: jax.Array
    count: jax.Array


def error_sums(x: jax.Array, y: jax.Array, where: jax.Array, weight: jax.Array) -> ErrorSums:
    """Compute the errors of each example over R sets of pixels.

    PSNR = -10 log10 MSE with both images mapped to [0, 1] (peak 1), at most 100 dB. `x`, which a decoder may output
    beyond the range, is clipped to [-1, 1] as in any image file.

    Args:
      x: reconstruction, float [B, H, W, 3] in about [-1, 1].
      y: the image, float [B, H, W, 3] in [-1, 1].
      where: [B, R, H, W] of 0 and 1.
      weight: [B], 0 = padding.

    Returns:
      ErrorSums over R.
    """
    difference = jnp.clip(x.astype(jnp.float32), -1, 1) - y.astype(jnp.float32)
    where = where.astype(jnp.float32)
    area = jnp.sum(where, axis=(2, 3))

    def mean(error):
        return safe_divide(jnp.einsum("brhw,bhw->br", where, jnp.mean(error, axis=-1), precision="highest"), area)

    psnr = -10 * jnp.log10(jnp.maximum(mean(jnp.square(difference / 2)), 10 ** (-PSNR_CEILING / 10)))
    shift = jnp.einsum("brhw,bhwc->brc", where, difference, precision="highest")
    colour = safe_divide(jnp.mean(jnp.abs(shift), axis=-1), area)
    present = weight.astype(jnp.float32)[:, None] * (area > 0)
    return ErrorSums(
        l1=jnp.sum(present * mean(jnp.abs(difference)), axis=0),
        psnr=jnp.sum(present * psnr, axis=0),
        colour=jnp.sum(present * colour, axis=0),
        count=jnp.sum(present, axis=0),
    )


def region_errors(
    x: jax.Array, y: jax.Array, mask: jax.Array, weight: jax.Array, num_classes: int
) -> dict[str, ErrorSums]:
    """Compute the errors over all pixels and inside and outside every class.

    Args:
      x: reconstruction, float [B, H, W, 3].
      y: the image, float [B, H, W, 3] in [-1, 1].
      mask: int [B, H, W], 255 = ignore: neither inside nor outside any class, but part of the full image.
      weight: [B], 0 = padding.
      num_classes: K, static under jit.

    Returns:
      ErrorSums by name: `overall` [1], `inside` [K] and `outside` [K]. An example that lacks a class is skipped in both
      `inside` and `outside` of that class.
    """
    inside = region_masks(mask, num_classes)
    present = jnp.any(inside > 0, axis=(2, 3), keepdims=True)
    outside = (1 - inside) * (mask != IGNORE)[:, None] * present
    everywhere = jnp.ones_like(inside[:, :1])
    sets = {"overall": everywhere, "inside": inside, "outside": outside}
    return {name: error_sums(x, y, where, weight) for name, where in sets.items()}


def summary(errors: Mapping[str, ErrorSums], names: Sequence[str]) -> dict:
    """Compute means from the sums of `region_errors`, ready for JSON.

    Returns:
      `l1` (of [-1, 1] images: half of it is the error in [0, 1] units), `psnr` (dB) and `colour` (absolute error of the
      mean colour, as `l1`) of the full images, and `inside`, `outside` {name: {l1, psnr, colour}}. Python floats, None
      if no example counts.
    """
    overall = _means(errors["overall"], ["overall"])["overall"]
    return {**overall, "inside": _means(errors["inside"], names), "outside": _means(errors["outside"], names)}


def _means(sums: ErrorSums, names: Sequence[str]) -> dict:
    *totals, count = (np.asarray(x, np.float64) for x in sums)
    return {
        name: {
            score: float(total[k] / count[k]) if count[k] > 0 else None
            for score, total in zip(ErrorSums._fields, totals, strict=False)
        }
        for k, name in enumerate(names)
    }
