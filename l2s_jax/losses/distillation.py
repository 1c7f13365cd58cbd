"""KL divergence between class logits and the probabilities of another model."""

import jax
import jax.numpy as jnp
import optax

from l2s_jax.losses.reductions import Psum, global_mean


def divergence(logits: jax.Array, target: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute KL(target || softmax(logits)), the global weighted mean over pixels (Hinton et al., 2015, temperature 1).

    Its gradient in the logits is that of the cross entropy with soft labels; unlike the latter, it is 0 if both agree.

    Args:
      logits: [B, H, W, K], any float type; the arithmetic is float32.
      target: float32 [B, H, W, K], probabilities over K; a constant.
      weight: [B], 0 = padding.
      psum: sum over the devices.

    Returns:
      float32 scalar in nats; 0 if all weights are 0.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    return global_mean(optax.losses.kl_divergence(log_p, jax.lax.stop_gradient(target)), weight, psum)
