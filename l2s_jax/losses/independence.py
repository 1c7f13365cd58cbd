"""Losses for independent subspaces of a code: cross-covariance, and normalised HSIC.

Formulas: docs/methods/independent_subspaces.md, "Measures of dependence". Both are functions of ALL rows that they are
estimated from: the global batch, and codes of earlier batches.
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

    sum_{i<j} ||C_ij||_F^2 / (D_i D_j), with C_ij the correlation block of subspaces i and j, and D_i the number of
    dimensions that vary. The division, the mean over the entries of a block, makes the value independent of D: it lies
    in [0, K(K-1)/2]. With N rows, independent subspaces score about K(K-1)/2 / (N - 1).

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
    varies = jnp.sum((jnp.diagonal(correlation) > 0.5).reshape(subspaces, dims), axis=1).astype(jnp.float32)
    blocks = jnp.sum(jnp.square(correlation).reshape(subspaces, dims, subspaces, dims), axis=(1, 3))
    return jnp.sum(jnp.triu(safe_divide(blocks, varies[:, None] * varies[None, :]), k=1))


def hsic(codes: jax.Array, weight: jax.Array) -> jax.Array:
    """Compute the sum over pairs of subspaces of their normalised HSIC, by the unbiased estimator (Song et al. 2012).

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), negative pairs (noise) counting 0, of Gaussian kernels exp(-d^2 / 2 s^2)
    on standardised codes, s^2 half the mean squared distance (ours; no gradient flows through it). In [0, K(K-1)/2].
    The biased estimator is large for independent codes of many dimensions: minimising it makes codes low in rank.

    Args:
      codes: [N, K, D], any float type; the kernels are float32.
      weight: [N], 0 = padding, all else 1; with fewer than 4 rows the value is 0.

    Returns:
      float32 scalar.
    """
    seen = (jnp.asarray(weight) > 0).astype(jnp.float32)
    count = jnp.sum(seen)
    codes = jnp.moveaxis(standardised(codes, seen), 1, 0)
    norms = jnp.sum(codes**2, axis=-1)
    squares = norms[:, :, None] + norms[:, None, :] - 2 * jnp.einsum("kad,kbd->kab", codes, codes, precision="highest")
    pairs = (seen[:, None] * seen[None, :] * (1 - jnp.eye(len(seen), dtype=jnp.float32)))[None]
    squares = jnp.maximum(squares, 0.0) * pairs
    scale = jax.lax.stop_gradient(safe_divide(jnp.sum(squares, axis=(1, 2), keepdims=True), jnp.sum(pairs)))
    kernels = pairs * jnp.exp(-safe_divide(squares, jnp.broadcast_to(scale, squares.shape)))
    rows = jnp.sum(kernels, axis=2)
    totals = jnp.sum(rows, axis=1)
    n = jnp.maximum(count, 4.0)
    products = jnp.einsum("iab,jab->ij", kernels, kernels, precision="highest")
    products += totals[:, None] * totals[None, :] / ((n - 1) * (n - 2))
    products -= 2 / (n - 2) * jnp.einsum("ia,ja->ij", rows, rows, precision="highest")
    products = jnp.where(count >= 4, products / (n * (n - 3)), 0.0)
    own = jnp.maximum(jnp.diagonal(products), 0.0)
    square = own[:, None] * own[None, :]
    varies = square > EPSILON**2
    normalised = jnp.where(varies, products * jax.lax.rsqrt(jnp.where(varies, square, 1.0)), 0.0)
    return jnp.sum(jnp.triu(jnp.maximum(normalised, 0.0), k=1))


MEASURES = {"covariance": cross_covariance, "hsic": hsic}
"""The losses by name."""
