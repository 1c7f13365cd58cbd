"""A loss for independent subspaces: the slices of a code should not be linearly correlated."""

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, append_axes, safe_divide


def cross_covariance(codes: jax.Array, weight: jax.Array, psum: Psum, *, epsilon: float = 1e-8) -> jax.Array:
    """Compute the cross-covariance loss between the slices of standardised codes (XCov, Cheung et al. 2014).

    sum_{i<j} ||C_ij||_F^2 / D^2, with C_ij the [D, D] correlation block of slices i and j over the global batch. The
    division by D^2, the mean over the entries of a block, makes the value independent of D: it lies in [0, K(K-1)/2].
    Independent codes of N examples score about K(K-1)/2 / (N-1), not 0: use large global batches.

    A spatial code must first be reduced to [N, K, D], by pooling or by taking positions as examples; flattening it
    would need a (K D) x (K D) matrix.

    Args:
      codes: [N, K, D], any float type; the statistics are float32.
      weight: [N], 0 = padding.
      psum: sum over the devices.
      epsilon: added to variances, so that a constant dimension scores 0.

    Returns:
      float32 scalar.
    """
    examples, slices, dims = codes.shape
    flat = codes.astype(jnp.float32).reshape(examples, slices * dims)
    weight = append_axes(weight, 2)
    # A covariance is invariant to a constant shift, so the codes can be centred by a psum without a gradient (they
    # must not be nested where gradients flow); centring avoids cancellation in float32 second moments.
    centre = safe_divide(*psum(jax.lax.stop_gradient((jnp.sum(weight * flat, axis=0), jnp.sum(weight, axis=0)))))
    shifted = flat - centre[None]
    second = jnp.matmul((weight * shifted).T, shifted, precision="highest")
    count, first, second = psum((jnp.sum(weight), jnp.sum(weight * shifted, axis=0), second))
    mean = safe_divide(first, count)
    covariance = safe_divide(second, count) - mean[:, None] * mean[None, :]
    deviation = jnp.sqrt(jnp.maximum(jnp.diagonal(covariance), 0.0) + epsilon)
    correlation = covariance / (deviation[:, None] * deviation[None, :])
    blocks = jnp.mean(jnp.square(correlation).reshape(slices, dims, slices, dims), axis=(1, 3))
    return jnp.sum(jnp.triu(blocks, k=1))
