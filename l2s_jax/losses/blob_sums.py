"""Sums of probabilities and log-probabilities over blobs, in one pass and with a cheap gradient.

A loss over blobs needs nothing but these sums from the pixels; blobs are few and fixed in number. There are two ways to
add, with the same result:

* `segment`: scatter-add, one addition per pixel and class. The choice for CPUs.
* `matmul`: product with the one-hot matrix of the blob ids. `max_blobs` times as many additions, on hardware made for
  them; the choice for TPUs and GPUs, where scatter-adds to a few addresses are serialised.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Summation = Literal["segment", "matmul", "auto"]
"""`auto` is `segment` if the program is compiled for a CPU, else `matmul`."""


class BlobSums(NamedTuple):
    """Sums over the blobs of each image; S blobs, K classes, float32.

    Attributes:
      labels: [B, S, K], number of pixels of each class of the mask; their sums over K are the sizes of the blobs.
      probability: [B, S, K], sum of p.
      log_probability: [B, S, K], sum of log p.
    """

    labels: jax.Array
    probability: jax.Array
    log_probability: jax.Array


def blob_sums(
    logits: jax.Array, mask: jax.Array, blobs: jax.Array, max_blobs: int, summation: Summation = "auto"
) -> BlobSums:
    """Sum softmax and log-softmax over the pixels of every blob.

    Args:
      logits: float32 [B, H, W, K].
      mask: int32 [B, H, W]; a pixel whose class is not in 0..K-1, such as 255 (ignore), belongs to no blob.
      blobs: int32 [B, H, W]; a pixel whose id is not in 0..max_blobs-1, such as -1 (none), belongs to no blob.
      max_blobs: S.
      summation: method of summation.

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
    # Probabilities are recomputed in the backward pass, which is cheaper than storing them.
    return (add(jnp.exp(log_p), ids, slots), add(log_p, ids, slots)), (logits, log_norm, ids)


def _softmax_sums_backward(slots, summation, saved, cotangents):
    """Return the gradient dz = p (a - sum_c (a_c p_c + b_c)) + b.

    Here a and b are the cotangents of the sums of p and log p of the blob that contains the pixel.
    """
    logits, log_norm, ids = saved
    take = _dispatch(_take_by_segment, _take_by_matmul, summation)
    a, b = (take(table, ids, slots) for table in cotangents)
    p = jnp.exp(logits - log_norm)
    return p * (a - jnp.sum(a * p + b, axis=-1, keepdims=True)) + b, None


_softmax_sums.defvjp(_softmax_sums_forward, _softmax_sums_backward)


def _dispatch(segment: Callable, matmul: Callable, summation: Summation) -> Callable:
    """Choose one of two functions of (array, ids, static sizes ...)."""
    if summation != "auto":
        return {"segment": segment, "matmul": matmul}[summation]

    def by_platform(array, ids, *sizes):
        cpu, other = (lambda array, ids, f=f: f(array, ids, *sizes) for f in (segment, matmul))
        return jax.lax.platform_dependent(array, ids, cpu=cpu, default=other)

    return by_platform


def _add_by_segment(values, ids, slots):
    """Sum over blobs, [B, H, W, C] -> [B, slots, C]."""
    # First within rows, then over rows: adding 10^5 small numbers to one float32 would lose three of its digits.
    return jnp.sum(jax.vmap(jax.vmap(functools.partial(_scatter, slots=slots)))(values, ids), axis=1)


def _scatter(values, ids, slots):
    """Sum by id, [N, C] -> [slots, C]; mapped over images, so that a batch spread over devices is not moved."""
    return jnp.zeros((slots, values.shape[-1]), values.dtype).at[ids].add(values, mode="drop")


def _add_by_matmul(values, ids, slots):
    membership = jax.nn.one_hot(_flat(ids), slots, axis=1, dtype=jnp.float32)
    return jnp.matmul(membership, _flat(values), precision="highest")


def _take_by_segment(table, ids, slots):
    """Look up row `ids` of each image's table, 0 for the id `slots`: [B, slots, C] -> [B, H, W, C]."""
    del slots
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="fill", fill_value=0))(table, ids)


def _take_by_matmul(table, ids, slots):
    membership = jax.nn.one_hot(_flat(ids), slots, dtype=jnp.float32)
    return jnp.matmul(membership, table, precision="highest").reshape(*ids.shape, table.shape[-1])


def _count_by_segment(mask, ids, slots, classes):
    """Count pixels of each class in each blob, [B, H, W] -> float32 [B, slots, classes]; exact below 2^24."""
    return jax.vmap(lambda k, i: jnp.zeros((slots, classes), jnp.float32).at[i, k].add(1.0, mode="drop"))(mask, ids)


def _count_by_matmul(mask, ids, slots, classes):
    return jnp.matmul(
        jax.nn.one_hot(_flat(ids), slots, axis=1, dtype=jnp.float32),
        jax.nn.one_hot(_flat(mask), classes, dtype=jnp.float32),
    )


def _flat(x):
    """Flatten rows and columns, [B, H, W, ...] -> [B, H W, ...]."""
    return x.reshape(x.shape[0], -1, *x.shape[3:])
