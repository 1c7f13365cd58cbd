"""Path length regularisation of StyleGAN2 (arXiv 1912.04958, section 3.2).

A step in W of fixed length shall change the image by a fixed amount, whatever the code and the direction: the length
of the gradient of a random projection of the image is pulled to its running mean.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, safe_divide

_EPS = 1e-12
"""Under the root, so that an image without any slope has a finite gradient (ours)."""


def path_lengths(synthesize: Callable[[jax.Array], jax.Array], codes: jax.Array, noise: jax.Array) -> jax.Array:
    """Measure how far images move with their codes: |J^T y|, the root of the mean over layers of the squared length.

    Args:
      synthesize: codes -> images [B, H, W, C], every row from its own codes alone.
      codes: float32 [B, L, W].
      noise: y before scaling, N(0, 1) of the images' shape.

    Returns:
      float32 [B], differentiable in what `synthesize` closes over.
    """
    scale = (noise.shape[1] * noise.shape[2]) ** -0.5
    slope = jax.grad(lambda codes: jnp.sum(synthesize(codes) * noise) * scale)(codes)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(slope), axis=2), axis=1) + _EPS)


def path_length_penalty(
    lengths: jax.Array, weight: jax.Array, running: jax.Array, decay: float, psum: Psum
) -> tuple[jax.Array, jax.Array]:
    """Compute the mean of (length - a')^2, where a' = a + decay * (mean length - a) is the updated running mean.

    The gradient flows through a', as in the published code. It is all one function of global sums of `length - a`,
    which are small: sums of squared lengths would cancel.

    Args:
      lengths: float32 [B].
      weight: float32 [B], 0 for rows that do not count.
      running: a, float32 scalar.
      decay: share of the new mean in a'.
      psum: sum over the devices.

    Returns:
      the penalty, and a' without gradient; float32 scalars.
    """
    off = lengths - running
    count, first, second = psum((weight.sum(), jnp.sum(weight * off), jnp.sum(weight * jnp.square(off))))
    mean, square = safe_divide(first, count), safe_divide(second, count)
    penalty = square - 2 * decay * jnp.square(mean) + jnp.square(decay * mean)
    return penalty, jax.lax.stop_gradient(running + decay * mean)
