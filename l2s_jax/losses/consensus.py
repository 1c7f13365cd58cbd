"""Structure via consensus: pixels of a blob should agree (Masi, Mathai and AbdAlmageed, CVPR 2020, eq. 8).

With q the mean of the softmax p over the pixels of a blob, and t the frequencies of the classes of the mask in it:

    label term   -sum_c t_c log q_c           the cross entropy of the AVERAGE: no single pixel can dominate it
    consensus    mean_i KL(q || p_i) = sum_c q_c (log q_c - mean_i log p_ic)

The paper's blobs have one class y, so its label term is -log q_y; ours generalises it to blobs of several classes
(superpixels). The gradient flows through q and p. Blobs are any map of ids: the connected components of
the mask (`batch["blobs"]`), the mask itself (one blob per class, as published), superpixels.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from l2s_jax.losses.blob_sums import Summation, blob_sums
from l2s_jax.losses.reductions import Psum, append_axes, safe_divide

LOST = 1e-35
"""Smallest usable mean probability: its reciprocal times alpha must not overflow float32 in the backward pass."""


class BlobTerms(NamedTuple):
    """The two terms of every blob, float32 [B, S]; 0 for empty blobs.

    Attributes:
      size: number of pixels.
      label: cross entropy of the blob's mean probability, in nats.
      consensus: mean divergence of its pixels from their mean, in nats.
    """

    size: jax.Array
    label: jax.Array
    consensus: jax.Array


def consensus(
    logits: jax.Array,
    mask: jax.Array,
    blobs: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    max_blobs: int,
    alpha: float,
    beta: float,
    min_pixels: int = 1,
    size_power: float = 0.0,
    summation: Summation = "auto",
) -> jax.Array:
    """Compute alpha * label term + beta * consensus: the mean over the blobs of an image, then over the images.

    The weight of an image does not depend on the rest of the batch or on its number of blobs, and the effect of
    alpha : beta does not depend on batch size and number of classes (with `published_consensus` it does).

    Args:
      logits: [B, H, W, K], any float type; the arithmetic is float32.
      mask: int32 [B, H, W] class ids in 0..K-1, or 255 = ignore: such pixels do not count.
      blobs: int32 [B, H, W] ids in 0..max_blobs-1, separate for each image; pixels of other ids (-1) do not count.
      weight: [B], 0 = padding.
      psum: sum over the devices.
      max_blobs: static number of ids.
      alpha: factor of the label term.
      beta: factor of the consensus.
      min_pixels: blobs of fewer pixels do not count.
      size_power: at least 0; the weight of a blob is |blob|^size_power: 0 weights all blobs equally, 1 all pixels.
      summation: see `blob_sums`.

    Returns:
      float32 scalar in nats; 0 if no image has a blob. Value and gradient are finite for all finite logits and
      alpha, beta up to 1000.
    """
    terms = blob_terms(logits, mask, blobs, max_blobs, summation)
    # Sizes relative to the largest blob: pixel counts would overflow at high powers, and only ratios matter.
    share = jnp.maximum(terms.size, 1.0) / jnp.maximum(jnp.max(terms.size, axis=1, keepdims=True), 1.0)
    counts = (terms.size >= max(min_pixels, 1)) * share**size_power
    cost = jnp.sum(counts * (alpha * terms.label + beta * terms.consensus), axis=1)
    count = jnp.sum(counts, axis=1)
    weight = append_axes(weight, 1) * (count > 0)
    return safe_divide(*psum((jnp.sum(weight * safe_divide(cost, count)), jnp.sum(weight))))


def published_consensus(
    logits: jax.Array,
    mask: jax.Array,
    blobs: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    max_blobs: int,
    alpha: float,
    beta: float,
    reduce: Literal["idx", "all"] = "idx",
    shared_ids: bool = True,
    summation: Summation = "auto",
) -> jax.Array:
    """Compute the loss with the normalisation of the authors' code, to reproduce their results.

    Over N images, the mean over all blobs s of

        alpha / N sum_n label_ns  +  beta / (K sum_n |blob_ns|) sum_n |blob_ns| consensus_ns

    If ids are shared over the batch, a blob lies in several images and its label term is summed over them; if not, that
    term still shrinks with N, so that the effect of alpha : beta depends on the batch. `all` divides the mean
    probability by the pixels of the image instead of the blob's, and the consensus by N H W instead of K |blob|.

    Args:
      logits: as in `consensus`.
      mask: as in `consensus`.
      blobs: as in `consensus`.
      weight: [B], 1, or 0 = padding.
      psum: sum over the devices.
      max_blobs: static number of ids.
      alpha: factor of the label term; published with beta as 10 : 5.
      beta: factor of the consensus.
      reduce: how a blob is averaged; the authors advise against `all`.
      shared_ids: whether an id is the same blob in all images (classes) or a different one in each (components).
      summation: see `blob_sums`.

    Returns:
      float32 scalar; 0 if there is no blob. Value and gradient are finite for all finite logits and alpha, beta up to
      1000, also where those of the published code are not.
    """
    size, label, spread = blob_terms(logits, mask, blobs, max_blobs, summation)
    pixels, weight = mask.shape[1] * mask.shape[2], append_axes(weight, 2)
    if reduce == "all":
        # Dividing by all pixels multiplies q by the blob's share of them; log q gains the logarithm of that share.
        share = jnp.where(size > 0, size, pixels) / pixels
        label, spread = label - jnp.log(share), share * (spread + jnp.log(share))
    size, label, spread = weight * size, weight * label, weight * size * spread

    def per_blob(spread, size):
        return safe_divide(spread, logits.shape[-1] * size) if reduce == "idx" else spread / pixels

    images = jnp.sum(weight)
    if shared_ids:
        size, label, spread, images = psum((*(jnp.sum(x, axis=0) for x in (size, label, spread)), images))
        label, spread, count = jnp.sum(label), jnp.sum(per_blob(spread, size)), jnp.sum(size > 0)
    else:
        local = jnp.sum(label), jnp.sum(per_blob(spread, size)), jnp.sum(size > 0), images
        label, spread, count, images = psum(local)
    spread = spread if reduce == "idx" else safe_divide(spread, images)
    return safe_divide(alpha * safe_divide(label, images) + beta * spread, count.astype(jnp.float32))


def blob_terms(
    logits: jax.Array, mask: jax.Array, blobs: jax.Array, max_blobs: int, summation: Summation = "auto"
) -> BlobTerms:
    """Compute label term and consensus of every blob; arguments as for `consensus`."""
    sums = blob_sums(logits.astype(jnp.float32), mask, blobs, max_blobs, summation)
    size = jnp.sum(sums.labels, axis=-1)
    truth, q, log_p = (safe_divide(x, size[..., None]) for x in sums)
    # A mean probability below the smallest float32 is 0, but its logarithm is finite: mean log p is a lower bound
    # (Jensen) and has the gradient of plain cross entropy, which increases the probability again.
    lost = q < LOST
    log_q = jnp.where(lost, log_p, jnp.log(jnp.where(lost, 1.0, q)))
    return BlobTerms(size, -jnp.sum(truth * log_q, axis=-1), jnp.sum(q * (log_q - log_p), axis=-1))
