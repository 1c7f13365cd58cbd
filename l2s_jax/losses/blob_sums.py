"""Sums over blobs of what a softmax says: their probabilities and log-probabilities, one pass and a cheap gradient.

Blobs are few and fixed, pixels are many, so the sums are all that a loss over blobs needs from the pixels. Two ways to
add, with the same numbers:

* `segment`: scatter-add, one addition per pixel and class. The choice for CPUs.
* `matmul`: product with the one-hot matrix of the blob ids. `max_blobs` times the additions, on units that are made for
  them; the choice for TPUs and GPUs, whose scatter-adds to a few addresses queue up.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Summation = Literal["segment", "matmul", "auto"]
"""`auto` is `segment` where the program is compiled for a CPU, `matmul` elsewhere."""


class BlobSums(NamedTuple):
    """What the blobs of each image hold; S blobs, K classes, float32.

    Attributes:
      labels: [B, S, K] pixels of each class of the mask; summed over K, the sizes of the blobs.
      probability: [B, S, K] sum of p.
      log_probability: [B, S, K] sum of log p.
    """

    labels: jax.Array
    probability: jax.Array
    log_probability: jax.Array


def blob_sums(
    logits: jax.Array, mask: jax.Array, blobs: jax.Array, max_blobs: int, summation: Summation = "auto"
) -> BlobSums:
    """Adds up softmax and log-softmax of the pixels of every blob.

    Args:
      logits: float32 [B, H, W, K].
      mask: int32 [B, H, W]; a pixel whose class is not in 0..K-1, such as 255 (ignore), belongs to no blob.
      blobs: int32 [B, H, W]; a pixel whose id is not in 0..max_blobs-1, such as -1 (none), belongs to no blob.
      max_blobs: S.
      summation: how to add.

    Returns:
      the sums, differentiable in the logits in reverse mode.
    """
    classes = logits.shape[-1]
    valid = (blobs >= 0) & (blobs < max_blobs) & (mask >= 0) & (mask < classes)
    ids = jnp.where(valid, blobs, max_blobs)
    labels = _dispatch(_count_by_segment, _count_by_matmul, summation)(mask, ids, max_blobs, classes)
    return BlobSums(labels, *_softmax_sums(logits, ids, max_blobs, summation))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _softmax_sums(logits, ids, slots, summation):
    return _softmax_sums_forward(logits, ids, slots, summation)[0]


def _softmax_sums_forward(logits, ids, slots, summation):
    log_norm = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    log_p = logits - log_norm
    add = _dispatch(_add_by_segment, _add_by_matmul, summation)
    # Probabilities are computed again on the way back: that is cheaper than to keep them.
    return (add(jnp.exp(log_p), ids, slots), add(log_p, ids, slots)), (logits, log_norm, ids)


def _softmax_sums_backward(slots, summation, saved, cotangents):
    """With a, b the cotangents of the sums of p, log p of the pixel's blob: dz = p (a - sum_c (a_c p_c + b_c)) + b."""
    logits, log_norm, ids = saved
    take = _dispatch(_take_by_segment, _take_by_matmul, summation)
    a, b = (take(table, ids, slots) for table in cotangents)
    p = jnp.exp(logits - log_norm)
    return p * (a - jnp.sum(a * p + b, axis=-1, keepdims=True)) + b, None


_softmax_sums.defvjp(_softmax_sums_forward, _softmax_sums_backward)


def _dispatch(segment: Callable, matmul: Callable, summation: Summation) -> Callable:
    """One of two functions of (array, ids, static sizes ...)."""
    if summation != "auto":
        return {"segment": segment, "matmul": matmul}[summation]

    def by_platform(array, ids, *sizes):
        cpu, other = (lambda array, ids, f=f: f(array, ids, *sizes) for f in (segment, matmul))
        return jax.lax.platform_dependent(array, ids, cpu=cpu, default=other)

    return by_platform


def _add_by_segment(values, ids, slots):
    """[B, H, W, C] -> [B, slots, C]."""
    # Row by row, and then the rows: adding 10^5 small numbers to one float32 would lose three of its digits.
    return jnp.sum(jax.vmap(jax.vmap(functools.partial(_scatter, slots=slots)))(values, ids), axis=1)


def _scatter(values, ids, slots):
    """[N, C] -> [slots, C]. Mapped over images, not indexed by them: a batch spread over devices stays where it is."""
    return jnp.zeros((slots, values.shape[-1]), values.dtype).at[ids].add(values, mode="drop")


def _add_by_matmul(values, ids, slots):
    membership = jax.nn.one_hot(_flat(ids), slots, axis=1, dtype=jnp.float32)
    return jnp.matmul(membership, _flat(values), precision="highest")


def _take_by_segment(table, ids, slots):
    """Row `ids` of the table of each image, 0 for the id `slots`: [B, slots, C] -> [B, H, W, C]."""
    del slots
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="fill", fill_value=0))(table, ids)


def _take_by_matmul(table, ids, slots):
    membership = jax.nn.one_hot(_flat(ids), slots, dtype=jnp.float32)
    return jnp.matmul(membership, table, precision="highest").reshape(*ids.shape, table.shape[-1])


def _count_by_segment(mask, ids, slots, classes):
    """Pixels of each class in each blob, [B, H, W] -> float32 [B, slots, classes]; exact below 2^24."""
    return jax.vmap(lambda k, i: jnp.zeros((slots, classes), jnp.float32).at[i, k].add(1.0, mode="drop"))(mask, ids)


def _count_by_matmul(mask, ids, slots, classes):
    return jnp.matmul(
        jax.nn.one_hot(_flat(ids), slots, axis=1, dtype=jnp.float32),
        jax.nn.one_hot(_flat(mask), classes, dtype=jnp.float32),
    )


def _flat(x):
    """[B, H, W, ...] -> [B, H W, ...]."""
    return x.reshape(x.shape[0], -1, *x.shape[3:])
