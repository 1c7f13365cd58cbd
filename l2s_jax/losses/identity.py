"""Losses of Face Identity Disentanglement, and the one that its identity networks are trained with.

docs/methods/id_disentanglement.md, "Losses". All means are global, over real rows.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.landmarks import mean_square
from l2s_jax.losses.reductions import Psum, global_mean, safe_divide
from l2s_jax.losses.ssim import ms_ssim
from l2s_jax.types import Axis

LANDMARK_SIDE = 160
"""Landmark distances are pixels of a picture of this side (published), whatever the size of the networks' images."""
PARTS = (0, 17, 22, 27, 36, 42, 48, 68)
"""Where the parts of 68 landmarks begin: jaw, brows, nose, eyes, mouth; and their number."""
KINDS = ("l1", "cosine")
"""Of identity losses."""
MASKS = ("gaussian", "uniform")
"""Of weights of pixels."""


def identity_loss(embedding: jax.Array, target: jax.Array, kind: str, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compare identities: `l1` is the mean of |e - t| over numbers (published), `cosine` the mean of 1 - e.t (ours).

    Args:
      embedding: [B, I], of length 1.
      target: the same; no gradient flows into it.
      kind: one of `KINDS`.
      weight: [B], 0 = padding.
      psum: sum over the devices.

    Returns:
      float32 scalar.
    """
    target = jax.lax.stop_gradient(target)
    if kind == "l1":
        return global_mean(jnp.abs(embedding - target), weight, psum)
    return global_mean(1 - jnp.sum(embedding * target, axis=-1), weight, psum)


def landmark_loss(points: jax.Array, target: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the mean squared difference of coordinates, in pixels of a picture of `LANDMARK_SIDE`.

    Args:
      points: [B, K, 2], in fractions of the picture's side.
      target: the same; no gradient flows into it.
      weight: [B], 0 = padding.
      psum: sum over the devices.

    Returns:
      float32 scalar.
    """
    return mean_square(LANDMARK_SIDE * points, LANDMARK_SIDE * jax.lax.stop_gradient(target), weight, psum)


def shapes(points: jax.Array) -> jax.Array:
    """Take the mean of its part off every landmark: what is left is the shape of brows, nose, eyes, mouth (ours).

    A mouth that opens moves few points by two pixels, which the error of the whole face's place hides.

    Args:
      points: [B, 68, 2], iBUG order.

    Returns:
      float32 [B, 68, 2]; the jaw is one part too.
    """
    mean = np.zeros((PARTS[-1], PARTS[-1]), np.float32)
    for start, stop in itertools.pairwise(PARTS):
        mean[start:stop, start:stop] = 1 / (stop - start)
    return points - jnp.einsum("kj,bjc->bkc", mean, points, precision="highest")


@functools.cache
def pixel_mask(side: int, kind: str) -> np.ndarray:
    """Return the weights of the pixels of a square picture, which sum to 1.

    `gaussian` (published) is a Gaussian of standard deviation int(80 side / 256) upside down, max + min - g: at 256 px
    a corner weighs 12.7 times the centre. `uniform` weighs all alike.

    Returns:
      float32 [side, side], read-only.
    """
    mask = np.ones((side, side))
    if kind == "gaussian":
        at = np.arange(side) - (side - 1) / 2
        bell = np.exp(-(at**2) / (2 * int(80 * side / 256) ** 2))
        bell = np.outer(bell, bell)
        mask = bell.max() + bell.min() - bell
    mask = (mask / mask.sum()).astype(np.float32)
    mask.flags.writeable = False
    return mask


def reconstruction_loss(
    output: jax.Array,
    image: jax.Array,
    weight: jax.Array,
    psum: Psum,
    *,
    alpha: float,
    mask: np.ndarray,
    summed: bool,
) -> jax.Array:
    """Compute alpha (1 - MS-SSIM) + (1 - alpha) L1, on pictures in [0, 1] (alpha .84: Zhao et al. 2015).

    Args:
      output, image: [B, H, W, 3] in about [-1, 1].
      weight: [B], 0 = padding.
      psum: sum over the devices.
      alpha: share of the structural term.
      mask: [H, W], weights of the pixels in L1, which sum to 1.
      summed: L1 is summed over the batch (published) instead of averaged, and grows with it.

    Returns:
      float32 scalar.
    """
    structure = global_mean(1 - ms_ssim(output, image), weight, psum)
    error = jnp.mean(jnp.abs(output.astype(jnp.float32) - image.astype(jnp.float32)), axis=-1) / 2
    pixels = jnp.sum(error * jnp.asarray(mask)[None], axis=(1, 2))
    total, count = psum((jnp.sum(weight * pixels), jnp.sum(weight)))
    return alpha * structure + (1 - alpha) * (total if summed else safe_divide(total, count))


def contrastive_loss(
    embedding: jax.Array, other: jax.Array, margin: float, scale: float, weight: jax.Array, axis: Axis
) -> tuple[jax.Array, jax.Array]:
    """Compute the cross entropy of finding each person's second picture among those of all people of the batch.

    The logits are scale times the cosine, less a margin for the right person: InfoNCE (van den Oord et al. 2018), in
    both directions, with the additive margin of CosFace (Wang et al. 2018).

    Args:
      embedding: [B, I], of length 1, of one picture of each person.
      other: the same of another picture.
      margin: taken off the cosine of the right pair.
      scale: factor of all logits.
      weight: [B], 0 = padding, which is nobody.
      axis: the step's axis; the people are those of the global batch.

    Returns:
      float32 scalars: the loss, and the share of first pictures whose most similar second picture is the right one.
    """
    present = axis.all_gather(weight)
    right = axis.local_rows(jnp.eye(len(present)))
    loss, hits = 0.0, None
    for own, among in ((embedding, other), (other, embedding)):
        cosine = jnp.matmul(own, axis.all_gather(among).T, precision="highest")
        logits = jnp.where(present[None] > 0, scale * (cosine - margin * right), -jnp.inf)
        entropy = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(jnp.where(right > 0, logits, 0.0), axis=-1)
        loss = loss + global_mean(jnp.where(weight > 0, entropy, 0.0), weight, axis.psum) / 2
        if hits is None:
            nearest = jnp.argmax(logits + scale * margin * right, axis=-1)
            hits = global_mean(nearest == jnp.argmax(right, axis=-1), weight, axis.psum)
    return loss, hits
