"""Removal of small connected components from predicted masks, as an optional postprocessing step."""

import jax
import jax.numpy as jnp

from input_pipeline.labels import IGNORE
from l2s_jax.layers.components import components, neighbours


def remove_islands(labels: jax.Array, num_classes: int, min_pixels: jax.Array | int) -> jax.Array:
    """Replace small components by the class that surrounds them (ours).

    A 4-connected component of at least `min_pixels` is kept. The others are filled from outside to inside: in each
    round every small component next to kept pixels takes the majority class among them along their common border
    (pairs of 4-neighbours are counted; the lower class wins a tie) and is kept from then on. No small component
    remains, except in two cases: if all components of an image are small, or if ignored pixels isolate a component.

    Apply it to `Prediction.labels`, inside or outside jit.

    Args:
      labels: int [B, H, W] classes in 0..num_classes-1, 255 = ignore; ignored pixels stay and are not counted.
      num_classes: K; labels of other values are never assigned.
      min_pixels: area in pixels of the smallest component that is kept; up to 1 changes nothing.

    Returns:
      the labels, in shape and dtype of `labels`.
    """
    return jax.vmap(lambda image: _filled(image, num_classes, min_pixels))(labels)


def _filled(labels: jax.Array, num_classes: int, min_pixels: jax.Array | int) -> jax.Array:
    """Fill the small components of one image: [H, W] -> [H, W]."""
    root = jnp.where(labels == IGNORE, labels.size, components(labels[None])[0]).reshape(-1)

    def per_component(values):
        """Sum over each component, stored at its root: [H, W] -> [H W]; ignored pixels are dropped."""
        return jnp.zeros(labels.size, jnp.int32).at[root].add(values.reshape(-1), mode="drop")

    def at_pixels(values, elsewhere):
        return values.at[root].get(mode="fill", fill_value=elsewhere).reshape(labels.shape)

    def most_votes(classes, stays):
        """Return (class, votes) of each component: the majority class along its border with kept pixels."""
        known = jnp.where(stays, classes, -1)
        around = neighbours(known, -1)

        def count(k, best):
            votes = per_component(sum((other == k).astype(jnp.int32) for other in around))
            return jnp.where(votes > best[1], k, best[0]), jnp.maximum(votes, best[1])

        nobody = jnp.zeros(labels.size, jnp.int32)
        return jax.lax.fori_loop(0, num_classes, count, (nobody, nobody))

    def round_(state):
        classes, stays, _ = state
        chosen, votes = most_votes(classes, stays)
        taken = at_pixels(votes > 0, False) & ~stays & (classes != IGNORE)
        return jnp.where(taken, at_pixels(chosen, 0), classes), stays | taken, jnp.any(taken)

    size = at_pixels(per_component(jnp.ones(labels.shape, jnp.int32)), 0)
    stays = (size >= min_pixels) & (labels != IGNORE)
    state = (labels.astype(jnp.int32), stays, jnp.any(~stays & (labels != IGNORE)))
    return jax.lax.while_loop(lambda state: state[2], round_, state)[0].astype(labels.dtype)
