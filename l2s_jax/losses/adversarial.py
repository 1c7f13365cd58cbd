"""Non-saturating logistic GAN losses and the R1 gradient penalty, as in StyleGAN2.

Their use in Latents2Segments: docs/methods/latents2segments.md, "Adversarial losses" and "R1".

Logits are [B] or [B, ...] (regions, crops); `weight` covers their leading axes, so that an absent region ([B, K]) or
a padded example ([B]) does not count. All means are global.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, global_mean

PyTree = Any


def real_loss(logits: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Return the mean of softplus(-D), the loss of logits that should be real."""
    return global_mean(jax.nn.softplus(-logits.astype(jnp.float32)), weight, psum)


def fake_loss(logits: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Return the mean of softplus(D), the loss of logits that should be fake."""
    return global_mean(jax.nn.softplus(logits.astype(jnp.float32)), weight, psum)


def generator_loss(logits: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Return the non-saturating generator loss, the mean of softplus(-D(fake)), float32 scalar."""
    return real_loss(logits, weight, psum)


def accuracy(real: tuple[jax.Array, jax.Array], fakes: Iterable[tuple[jax.Array, jax.Array]], psum: Psum) -> jax.Array:
    """Return how often a discriminator is right, (share of real logits above 0 + share of fake ones below) / 2.

    Args:
      real: logits and their weight.
      fakes: the same of every kind of fake; kinds count equally.
      psum: sum over the devices.

    Returns:
      float32 scalar in [0, 1], without gradient; 0.5 if it cannot tell.
    """
    hits = [global_mean(logits < 0, weight, psum) for logits, weight in fakes]
    return jax.lax.stop_gradient((global_mean(real[0] > 0, real[1], psum) + sum(hits) / len(hits)) / 2)


def r1_penalty(grad: PyTree, batch_axes: int = 1) -> jax.Array:
    """Sum the squares of each example's gradient.

    Args:
      grad: array [B, ...], or a pytree of such arrays (the two sets of crops of a patch discriminator).
      batch_axes: leading axes that are kept: 1 for one number per example, 2 for one per (example, region).

    Returns:
      float32, of the leading `batch_axes` axes.
    """
    return sum(
        jnp.sum(jnp.square(g.astype(jnp.float32)), axis=tuple(range(batch_axes, g.ndim))) for g in jax.tree.leaves(grad)
    )


def r1(discriminator: Callable[[PyTree], jax.Array], images: PyTree, batch_axes: int = 1) -> jax.Array:
    """Compute || d sum D(x) / dx ||^2 per example (Mescheder et al. 2018), to be averaged and multiplied by gamma / 2.

    The gradient of the sum over the batch gives per-example gradients only if D treats examples independently, that is,
    without statistics across the batch.

    Args:
      discriminator: images -> logits of any shape.
      images: float [B, ...], or a pytree of such arrays.
      batch_axes: as in `r1_penalty`.

    Returns:
      float32, of the leading `batch_axes` axes of the images; differentiable in the variables that `discriminator`
      closes over.
    """
    judge, constants = jax.closure_convert(lambda x: jnp.sum(discriminator(x).astype(jnp.float32)), images)
    return _r1(judge, batch_axes, images, *constants)


# Differentiated forward over reverse, as the change of the constants' gradient along the images' slope: half as many
# operations more than reverse over reverse, whose convolutions XLA computes so slowly on CPUs that it takes six times
# as long (experiments/bench/choices.py).


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _r1(judge: Callable[..., jax.Array], batch_axes: int, images: PyTree, *constants: PyTree) -> jax.Array:
    return r1_penalty(jax.grad(judge)(images, *constants), batch_axes)


def _r1_forward(judge, batch_axes, images, *constants):
    slopes = jax.grad(judge)(images, *constants)
    return r1_penalty(slopes, batch_axes), (images, constants, slopes)


def _r1_backward(judge, batch_axes, saved, weights):
    images, constants, slopes = saved
    inputs = tuple(range(1 + len(constants)))

    def along(slope: jax.Array) -> jax.Array:
        return (2 * weights.reshape(*weights.shape, *[1] * (slope.ndim - batch_axes)) * slope).astype(slope.dtype)

    gradients = lambda images: jax.grad(judge, inputs)(images, *constants)  # noqa: E731
    return jax.jvp(gradients, (images,), (jax.tree.map(along, slopes),))[1]


_r1.defvjp(_r1_forward, _r1_backward)
