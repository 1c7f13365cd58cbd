"""Random windows and their bilinear crops, the input of the patch discriminator.

The published rule and ours: docs/methods/latents2segments.md, "Patch crops".
"""

import jax
import jax.numpy as jnp
from flax import struct


class Windows(struct.PyTreeNode):
    """P axis-aligned windows per image, in coordinates where the image spans [-1, 1] on both axes.

    Attributes:
      center: float32 [B, P, 2] (x, y).
      extent: float32 [B, P, 2] half sizes; a negative x extent mirrors the crop.
    """

    center: jax.Array
    extent: jax.Array


def random_windows(rngs: jax.Array, count: int, low: float = 1 / 8, high: float = 1 / 4) -> Windows:
    """Draw windows anywhere in the image, with independent extents per axis, half of them mirrored (published).

    Args:
      rngs: typed keys [B], one per image.
      count: P.
      low: smallest half size.
      high: largest half size.
    """

    def draw(rng):
        size, place, mirror = jax.random.split(rng, 3)
        extent = jax.random.uniform(size, (count, 2), jnp.float32, low, high)
        center = jax.random.uniform(place, (count, 2), jnp.float32, -1.0, 1.0) * (1.0 - extent)
        return Windows(center, _mirrored(mirror, extent))

    return jax.vmap(draw)(rngs)


def region_windows(rngs: jax.Array, masks: jax.Array, count: int, low: float = 1 / 8, high: float = 1 / 2) -> Windows:
    """Draw windows around a region, so that crops of small regions are not all black (ours).

    The centre lies within one standard deviation of the region's centre; the half size is 0.5 to 1.5 standard
    deviations, clipped to [low, high]. An empty region gets windows around the image's centre.

    Args:
      rngs: typed keys [N], one per mask.
      masks: float [N, H, W] in [0, 1].
      count: P.
      low: smallest half size.
      high: largest half size.
    """
    area = masks.sum((1, 2))
    safe = jnp.where(area > 0, area, 1.0)

    def moments(axis: int, size: int) -> tuple[jax.Array, jax.Array]:
        at = (jnp.arange(size, dtype=jnp.float32) + 0.5) * 2.0 / size - 1.0
        profile = masks.sum(axis) / safe[:, None]
        mean = jnp.sum(profile * at[None], axis=1)
        return mean, jnp.sqrt(jnp.maximum(jnp.sum(profile * at[None] ** 2, axis=1) - mean**2, 0.0))

    (mean_x, std_x), (mean_y, std_y) = moments(1, masks.shape[2]), moments(2, masks.shape[1])
    mean, std = jnp.stack((mean_x, mean_y), -1), jnp.stack((std_x, std_y), -1)

    def draw(rng, mean, std):
        size, place, mirror = jax.random.split(rng, 3)
        extent = jnp.clip(std[None] * jax.random.uniform(size, (count, 2), jnp.float32, 0.5, 1.5), low, high)
        center = mean[None] + std[None] * jax.random.uniform(place, (count, 2), jnp.float32, -1.0, 1.0)
        inside = jnp.clip(center, extent - 1.0, 1.0 - extent)  # as the published windows, never beyond the image
        return Windows(inside, _mirrored(mirror, extent))

    return jax.vmap(draw)(rngs, mean, std)


def crop(images: jax.Array, windows: Windows, size: int) -> jax.Array:
    """Cut bilinear crops, with zeros (middle grey) outside the image; differentiable in the images.

    Axis-aligned windows make the interpolation separable: two small matmuls instead of a gather.

    Args:
      images: [B, H, W, C].
      windows: P windows per image.
      size: side of the crops in pixels; the outermost samples lie on the window's border.

    Returns:
      [B, P, size, size, C].
    """
    steps = jnp.linspace(-1.0, 1.0, size, dtype=jnp.float32)

    def weights(axis: int, length: int) -> jax.Array:
        at = windows.center[..., axis, None] + windows.extent[..., axis, None] * steps[None, None]
        pixel = ((at + 1.0) * length - 1.0) / 2.0
        return jnp.maximum(
            1.0 - jnp.abs(pixel[..., None] - jnp.arange(length, dtype=jnp.float32)[None, None, None]), 0.0
        ).astype(images.dtype)

    rows, columns = weights(1, images.shape[1]), weights(0, images.shape[2])
    return jnp.einsum("bpyh,bhwc,bpxw->bpyxc", rows, images, columns)


def _mirrored(rng: jax.Array, extent: jax.Array) -> jax.Array:
    sign = jnp.where(jax.random.bernoulli(rng, jnp.float32(0.5), extent.shape[:1]), 1.0, -1.0)
    return extent * jnp.stack((sign, jnp.ones_like(sign)), -1)
