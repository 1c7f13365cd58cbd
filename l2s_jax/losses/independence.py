"""Losses for independent subspaces of a code: cross-covariance, and normalised HSIC.

Formulas: docs/methods/independent_subspaces.md, "Measures of dependence". Both are functions of ALL rows that they are
estimated from (the global batch, and codes of earlier batches): with N rows, independent subspaces score about 1 / N.
"""

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import append_axes, safe_divide

EPSILON = 1e-8
"""Added to variances, so that a constant dimension scores 0."""


def standardised(codes: jax.Array, weight: jax.Array) -> jax.Array:
    """Shift and scale each dimension of codes [N, K, D] to mean 0 and variance 1 over rows of `weight` [N]; float32."""
    codes, weight = codes.astype(jnp.float32), append_axes(weight, 3)
    count = jnp.sum(weight)

    def mean(x: jax.Array) -> jax.Array:
        return safe_divide(jnp.sum(weight * x, axis=0, keepdims=True), count)

    codes = codes - mean(jax.lax.stop_gradient(codes))  # against cancellation
    codes = codes - mean(codes)
    return codes * jax.lax.rsqrt(mean(codes**2) + EPSILON)


def cross_covariance(codes: jax.Array, weight: jax.Array) -> jax.Array:
    """Compute the cross-covariance loss between the subspaces of standardised codes (XCov, Cheung et al. 2014).

    sum_{i<j} ||C_ij||_F^2 / D^2, with C_ij the [D, D] correlation block of subspaces i and j. The division by D^2, the
    mean over the entries of a block, makes the value independent of D: it lies in [0, K(K-1)/2].

    Args:
      codes: [N, K, D], any float type; the statistics are float32.
      weight: [N], 0 = padding.

    Returns:
      float32 scalar.
    """
    rows, subspaces, dims = codes.shape
    flat = standardised(codes, weight).reshape(rows, subspaces * dims)
    products = jnp.matmul((append_axes(weight, 2) * flat).T, flat, precision="highest")
    correlation = safe_divide(products, jnp.sum(weight))
    blocks = jnp.mean(jnp.square(correlation).reshape(subspaces, dims, subspaces, dims), axis=(1, 3))
    return jnp.sum(jnp.triu(blocks, k=1))


def hsic(codes: jax.Array, weight: jax.Array) -> jax.Array:
    """Compute the sum over pairs of subspaces of their normalised HSIC (Gretton et al. 2005), biased, in [0, K(K-1)/2].

    tr(K H L H) / sqrt(tr(K H K H) tr(L H L H)) with rows and centring weighted by `weight`, of Gaussian kernels
    exp(-d^2 / 2 s^2) on standardised codes, s^2 half the mean squared distance (ours; no gradient flows through it).

    Args:
      codes: [N, K, D], any float type; the kernels are float32.
      weight: [N], 0 = padding.

    Returns:
      float32 scalar.
    """
    share = safe_divide(jnp.asarray(weight, jnp.float32), jnp.sum(weight))
    codes = jnp.moveaxis(standardised(codes, weight), 1, 0)
    norms = jnp.sum(codes**2, axis=-1)
    squares = norms[:, :, None] + norms[:, None, :] - 2 * jnp.einsum("kad,kbd->kab", codes, codes, precision="highest")
    squares = jnp.maximum(squares, 0.0)
    scale = jax.lax.stop_gradient(jnp.einsum("a,b,kab->k", share, share, squares))[:, None, None]
    kernels = jnp.exp(-safe_divide(squares, jnp.broadcast_to(scale, squares.shape)))
    rows = jnp.einsum("a,kab->kb", share, kernels)
    centred = kernels - rows[:, :, None] - rows[:, None, :] + jnp.einsum("a,ka->k", share, rows)[:, None, None]
    weighted = centred * jnp.sqrt(share)[None, :, None] * jnp.sqrt(share)[None, None, :]
    products = jnp.einsum("iab,jab->ij", weighted, weighted, precision="highest")
    own = jnp.diagonal(products)
    normalised = products * jax.lax.rsqrt(jnp.maximum(own[:, None] * own[None, :], EPSILON**2))
    return jnp.sum(jnp.triu(normalised, k=1))


MEASURES = {"covariance": cross_covariance, "hsic": hsic}
"""The losses by name."""
