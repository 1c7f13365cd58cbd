"""Absolute errors of images and regions, and images of single regions on black."""

import jax
import jax.numpy as jnp

from l2s_jax.losses.reductions import Psum, append_axes, global_mean, safe_divide

BLACK = -1.0
"""Black in the [-1, 1] range of images."""


def region_masks(mask: jax.Array, regions: int) -> jax.Array:
    """Return one mask per region: int [B, H, W] class ids -> float32 [B, regions, H, W] of 0 and 1.

    Region k holds the pixels of class k. Ids outside 0..regions-1, such as 255 (ignore), belong to no region.
    """
    return jax.nn.one_hot(mask, regions, axis=1, dtype=jnp.float32)


def region_images(image: jax.Array, masks: jax.Array) -> jax.Array:
    """Return each region alone on black: x m + (-1)(1 - m)  (Latents2Segments, Fig. 2).

    Args:
      image: float [B, H, W, 3] in [-1, 1].
      masks: [B, K, H, W] in [0, 1]; they may overlap.

    Returns:
      float [B, K, H, W, 3].
    """
    masks = append_axes(masks, 5).astype(image.dtype)
    return image[:, None] * masks + BLACK * (1 - masks)


def l1(x: jax.Array, y: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the global mean of |x - y|.

    Args:
      x: [B, ...].
      y: the same shape.
      weight: [B], or more leading axes ([B, K] for single regions); 0 = absent.
      psum: sum over the devices.

    Returns:
      float32 scalar; 0 if all weights are 0.
    """
    return global_mean(jnp.abs(x.astype(jnp.float32) - y.astype(jnp.float32)), weight, psum)


def region_l1(decoded: jax.Array, image: jax.Array, masks: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the L1 of every region inside its mask, divided by its area; mean over the regions present (ours).

    Loss_k = sum_{b,p} w_b M_bk(p) |decoded_bk(p) - image_b(p)| / (3 sum_{b,p} w_b M_bk(p)) with sums over the global
    batch: an eye counts as much as the hair.

    Args:
      decoded: [B, K, H, W, 3].
      image: [B, H, W, 3].
      masks: [B, K, H, W] in [0, 1].
      weight: [B], 0 = padding.
      psum: sum over the devices.

    Returns:
      float32 scalar; 0 if no region is present.
    """
    error = jnp.mean(jnp.abs(decoded.astype(jnp.float32) - image[:, None].astype(jnp.float32)), axis=-1)
    pixel = append_axes(weight, 4) * masks.astype(jnp.float32)
    error, area = psum((jnp.sum(pixel * error, axis=(0, 2, 3)), jnp.sum(pixel, axis=(0, 2, 3))))
    return safe_divide(jnp.sum(safe_divide(error, area)), jnp.sum((area > 0).astype(jnp.float32)))


def flat_l1(decoded: jax.Array, image: jax.Array, masks: jax.Array, weight: jax.Array, psum: Psum) -> jax.Array:
    """Compute the L1 between every region's decode OUTSIDE its mask and the region's mean colour (ours).

    A slice that shows nothing but its region's mean colour elsewhere cannot paint over other regions when it changes.

    Args:
      decoded: [B, K, H, W, 3].
      image: [B, H, W, 3].
      masks: [B, K, H, W] in [0, 1].
      weight: [B], 0 = padding.
      psum: sum over the devices.

    Returns:
      float32 scalar, the global mean over the pixels outside of regions that their image shows; 0 if there are none.
    """
    masks = masks.astype(jnp.float32)
    area = jnp.sum(masks, axis=(2, 3))
    colour = jnp.einsum("bkhw,bhwc->bkc", masks, image.astype(jnp.float32)) / jnp.maximum(area, 1.0)[..., None]
    error = jnp.mean(jnp.abs(decoded.astype(jnp.float32) - colour[:, :, None, None]), axis=-1)
    return global_mean(error, append_axes(weight[:, None] * (area > 0), 4) * (1 - masks), psum)
