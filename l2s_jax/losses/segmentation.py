"""Cross entropy and soft Dice between class logits and label maps."""

import jax
import jax.numpy as jnp

from input_pipeline.labels import IGNORE
from l2s_jax.losses.reductions import Psum, append_axes, safe_divide


def cross_entropy(
    logits: jax.Array,
    mask: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    class_weights: jax.Array | None = None,
    label_smoothing: float = 0.0,
) -> jax.Array:
    """Compute the softmax cross entropy, the global weighted mean over valid pixels.

    With targets t = (1 - s) onehot(y) + s / K, smoothing s and class weights c, the loss of a pixel is
    -sum_k c_k t_k log p_k and its weight in the denominator c_y.

    Args:
      logits: [B, H, W, K], any float type; the arithmetic is float32.
      mask: int32 [B, H, W] class ids in 0..K-1, or 255 = ignore.
      weight: [B], 0 = padding.
      psum: sum over the devices.
      class_weights: [K], None = all 1.
      label_smoothing: s in [0, 1).

    Returns:
      float32 scalar in nats; 0 if no pixel is valid.
    """
    classes = logits.shape[-1]
    class_weights = jnp.ones(classes, jnp.float32) if class_weights is None else jnp.asarray(class_weights, jnp.float32)
    class_weights = class_weights.reshape(1, 1, 1, classes)
    pixel = append_axes(weight, 3) * (mask != IGNORE)
    truth = jax.nn.one_hot(mask, classes, dtype=jnp.float32)
    target = (1 - label_smoothing) * truth + label_smoothing / classes
    cost = -jnp.sum(class_weights * target * jax.nn.log_softmax(logits.astype(jnp.float32)), axis=-1)
    size = jnp.sum(class_weights * truth, axis=-1)
    return safe_divide(*psum((jnp.sum(pixel * cost), jnp.sum(pixel * size))))


def dice(
    logits: jax.Array,
    mask: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    smooth: float = 1.0,
    squared: bool = False,
    present_only: bool = True,
) -> jax.Array:
    """Compute the soft Dice loss with sums over the GLOBAL batch, so that it does not depend on how the batch is split.

    Dice_c = 1 - (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth), p = softmax, y = one-hot truth, sums over valid
    pixels, then the mean over classes. SegFace (docs/methods/segface.md, "Loss") uses p^2 for p in the denominator,
    smooth 1e-5, and the mean over all classes: `squared=True, smooth=1e-5, present_only=False`. The loss of an absent
    class is then about 1 whatever its probability, hence our default of present classes only.

    Args:
      logits: [B, H, W, K], any float type; the arithmetic is float32.
      mask: int32 [B, H, W] class ids in 0..K-1, or 255 = ignore.
      weight: [B], 0 = padding.
      psum: sum over the devices.
      smooth: in pixels, added to numerator and denominator.
      squared: whether to square the probabilities in the denominator.
      present_only: average over the classes that have a valid pixel in the global batch, not over all K.

    Returns:
      float32 scalar in [0, 1]; 0 if no class is present.
    """
    pixel = append_axes(append_axes(weight, 3) * (mask != IGNORE), 4)
    probability = jax.nn.softmax(logits.astype(jnp.float32))
    truth = jax.nn.one_hot(mask, logits.shape[-1], dtype=jnp.float32)
    spread = probability**2 if squared else probability
    overlap, predicted, present = psum(
        tuple(jnp.sum(pixel * x, axis=(0, 1, 2)) for x in (probability * truth, spread, truth))
    )
    loss = 1 - (2 * overlap + smooth) / (predicted + present + smooth)
    counted = (present > 0).astype(jnp.float32) if present_only else jnp.ones_like(present)
    return safe_divide(jnp.sum(counted * loss), jnp.sum(counted))
