"""Structural scores, which F1 and IoU do not cover: the number of connected components, and the location of boundaries.

All are (sum, count) of a batch: add batches and devices, then divide.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import IGNORE
from l2s_jax.layers.components import Connectivity, components, neighbours, shifted

MAX_CLASSES = 32
"""Largest number of classes of `boundary_f1`, which stores one bit per class."""


TOLERANCE = 0.0075
"""The usual tolerance of the boundary F1, relative to the diagonal of the image."""


class ComponentCountError(NamedTuple):
    """Sums over images of |number of components predicted - number of true ones|, float32.

    Attributes:
      image: [], all classes but class 0 counted together, as published.
      classes: [K], each class separately.
      count: [], number of images.
    """

    image: jax.Array
    classes: jax.Array
    count: jax.Array


class StructureSums(NamedTuple):
    """Sums over images of both scores, float32.

    Attributes:
      off: errors of the component counts.
      boundary: [K], boundary F1.
      shown: [K], number of images that `boundary` counts.
    """

    off: ComponentCountError
    boundary: jax.Array
    shown: jax.Array


def structure_sums(pred: jax.Array, truth: jax.Array, num_classes: int, weight: jax.Array) -> StructureSums:
    """Compute both scores as usual: components 8-connected, boundaries with `TOLERANCE`.

    Args:
      pred, truth, num_classes, weight: see `boundary_f1`; of more than 32 classes only the components are scored.
    """
    off = component_count_error(pred, truth, num_classes, weight)
    if num_classes > MAX_CLASSES:
        return StructureSums(off, jnp.zeros(num_classes), jnp.zeros(num_classes))
    tolerance = TOLERANCE * math.hypot(*truth.shape[1:])
    return StructureSums(off, *boundary_f1(pred, truth, num_classes, weight, tolerance=tolerance))


def summary(sums: StructureSums, names: Sequence[str]) -> dict:
    """Turn sums over a data set into scores.

    Args:
      sums: added over batches, each array float [] or [K].
      names: K class names, the background first.

    Returns:
      {"components_off": {"total", "per_class"}, "boundary_f1": {"mean", "per_class"}}, means over images. `total` is of
      the components of all classes but the background together; `mean` is the mean over these classes. None: the class
      (or every class) has no boundary in any image, or there is no image.
    """
    off, boundary, shown = jax.tree.map(lambda x: np.asarray(x, np.float64), sums)
    per_class = [float(total / count) if count else None for total, count in zip(boundary, shown, strict=True)]
    known = [value for value in per_class[1:] if value is not None]
    wrong = [float(total / off.count) if off.count else None for total in (off.image, *off.classes)]
    return {
        "components_off": {"total": wrong[0], "per_class": dict(zip(names, wrong[1:], strict=True))},
        "boundary_f1": {
            "mean": float(np.mean(known)) if known else None,
            "per_class": dict(zip(names, per_class, strict=True)),
        },
    }


def component_counts(labels: jax.Array, num_classes: int, *, connectivity: Connectivity = 8) -> jax.Array:
    """Count the components of each class: int [B, H, W], 255 = ignore -> int32 [B, num_classes]."""
    ids = components(labels, connectivity=connectivity).reshape(labels.shape[0], -1)
    first = ids == jnp.arange(ids.shape[1])[None]
    classes = jnp.where(first, labels.reshape(ids.shape), num_classes)
    return jax.vmap(lambda row: jnp.bincount(row, length=num_classes + 1)[:-1])(classes).astype(jnp.int32)


def component_count_error(
    pred: jax.Array, truth: jax.Array, num_classes: int, weight: jax.Array, *, connectivity: Connectivity = 8
) -> ComponentCountError:
    """Compute the sparsity metric of Structure via Consensus (Masi et al., CVPR 2020; err_l1_cc of their code).

    Components are those of all classes in one map: pixels of different classes are never connected. As published,
    connectivity is 8 and class 0 is not counted.

    Args:
      pred: int [B, H, W] class ids in 0..num_classes-1.
      truth: int [B, H, W] class ids, 255 = ignore; what is ignored in the truth is ignored in the prediction too.
      num_classes: K.
      weight: [B]; examples of weight 0 are left out, all others count once.
      connectivity: 4 or 8.

    Returns:
      sums and the number of images.
    """
    counted = (weight > 0).astype(jnp.float32)
    found, expected = (component_counts(x, num_classes, connectivity=connectivity) for x in (_seen(pred, truth), truth))
    surplus = found - expected
    image = jnp.sum(counted * jnp.abs(jnp.sum(surplus[:, 1:], axis=1)))
    return ComponentCountError(image, jnp.sum(counted[:, None] * jnp.abs(surplus), axis=0), jnp.sum(counted))


def boundary_f1(
    pred: jax.Array, truth: jax.Array, num_classes: int, weight: jax.Array, *, tolerance: float
) -> tuple[jax.Array, jax.Array]:
    """Compute the boundary F1 of each class (Csurka, Larlus and Perronnin, BMVC 2013), per image.

    The boundary of a class consists of its pixels with a 4-neighbour of another class; the border of the image and
    ignored pixels do not create one. Precision is the fraction of the predicted boundary within `tolerance` of the true
    one, recall the fraction of the true one within `tolerance` of the predicted one, F1 their harmonic mean. The usual
    tolerance is `TOLERANCE` of the image's diagonal.

    Args:
      pred: int [B, H, W] class ids in 0..num_classes-1.
      truth: int [B, H, W] class ids, 255 = ignore; what is ignored in the truth is ignored in the prediction too.
      num_classes: K, at most 32, static under jit.
      weight: [B]; examples of weight 0 are left out, all others count once.
      tolerance: Euclidean distance of pixel centres in pixels, at least 0, static under jit.

    Returns:
      float32 [K], the sums of F1 over images, and float32 [K], the number of images in which the class has a boundary
      in the truth or in the prediction (in only one of them, F1 is 0).

    Raises:
      ValueError: more than 32 classes.
    """
    if num_classes > MAX_CLASSES:
        raise ValueError(f"boundary_f1 takes at most {MAX_CLASSES} classes, not {num_classes}")
    edges = [_boundary_bits(x) for x in (_seen(pred, truth), truth)]
    near = [_dilated(x, tolerance) for x in edges]
    size = [_per_class(x, num_classes) for x in edges]
    hits = [_per_class(edges[0] & near[1], num_classes), _per_class(edges[1] & near[0], num_classes)]
    precision, recall = (hit / jnp.maximum(n, 1.0) for hit, n in zip(hits, size, strict=True))
    score = 2 * precision * recall / jnp.maximum(precision + recall, jnp.finfo(jnp.float32).tiny)
    counted = (weight > 0)[:, None] & (size[0] + size[1] > 0)
    return jnp.sum(jnp.where(counted, score, 0.0), axis=0), jnp.sum(counted.astype(jnp.float32), axis=0)


def _seen(pred: jax.Array, truth: jax.Array) -> jax.Array:
    return jnp.where(truth == IGNORE, IGNORE, pred.astype(jnp.int32))


def _boundary_bits(labels: jax.Array) -> jax.Array:
    """Set bit k on the boundary of class k: int [B, H, W] -> uint32 [B, H, W]."""
    labels = labels.astype(jnp.int32)
    differs = [(other != labels) & (other != IGNORE) for other in neighbours(labels, IGNORE)]
    edge = jnp.any(jnp.stack(differs), axis=0) & (labels != IGNORE)
    return jnp.where(edge, jnp.uint32(1) << jnp.where(edge, labels, 0).astype(jnp.uint32), jnp.uint32(0))


def _dilated(bits: jax.Array, radius: float) -> jax.Array:
    """Combine, for each pixel, the bits of all pixels within `radius`: [B, H, W] -> [B, H, W]."""
    result = jnp.zeros_like(bits)
    for dy in range(-math.floor(radius), math.floor(radius) + 1):
        reach = math.floor(math.sqrt(radius**2 - dy**2))
        window = (1, 1, 2 * reach + 1)
        row = jax.lax.reduce_window(bits, jnp.uint32(0), jax.lax.bitwise_or, window, (1, 1, 1), "SAME")
        result |= shifted(row, dy, 0, 0)
    return result


def _per_class(bits: jax.Array, num_classes: int) -> jax.Array:
    """Count the pixels that have each bit: uint32 [B, H, W] -> float32 [B, num_classes]."""
    one = jnp.uint32(1)
    return jax.lax.map(
        lambda k: jnp.sum(((bits >> k) & one).astype(jnp.float32), axis=(1, 2)),
        jnp.arange(num_classes, dtype=jnp.uint32),
    ).T
