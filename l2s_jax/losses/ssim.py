"""Structural similarity at several scales (MS-SSIM: Wang, Simoncelli and Bovik 2003)."""

import jax
import jax.numpy as jnp
import numpy as np

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, from full size to a sixteenth (table of the paper)."""
SIDE, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window, pixels."""
RANGE = 2.0
"""Of values in [-1, 1], and of [0, 2]."""
K1, K2 = 0.01, 0.03


def ms_ssim(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute MS-SSIM per image: the product of contrast-structure terms of all scales and luminance of the last.

    It is computed for each channel, and averaged over them. Scales at which the window no longer fits are left out, and
    the exponents of the others divided by their sum: below 176 px fewer than five are left, at 96 px four (ours). A
    mean of a term over pixels below 1e-6 counts as that.

    Args:
      x: float [B, H, W, C] in [-1, 1], sides of at least 11.
      y: the same shape.

    Returns:
      float32 [B] in [0, 1], 1 for equal images.
    """
    # From 0 on: the luminance term compares means relative to their size.
    x, y = x.astype(jnp.float32) + 1, y.astype(jnp.float32) + 1
    scales = min(len(WEIGHTS), int(np.log2(min(x.shape[1:3]) / SIDE)) + 1)
    exponents = np.array(WEIGHTS[:scales]) / (sum(WEIGHTS[:scales]) if scales < len(WEIGHTS) else 1.0)
    score = jnp.ones((x.shape[0], x.shape[3]))
    for scale, exponent in enumerate(exponents):
        luminance, structure = _terms(x, y)
        term = structure * luminance if scale == scales - 1 else structure
        # The mean over pixels; the power has no finite slope at 0.
        score = score * jnp.maximum(jnp.mean(term, axis=(1, 2)), 1e-6) ** exponent
        x, y = _halved(x), _halved(y)
    return jnp.mean(score, axis=-1)


def _terms(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return luminance and contrast-structure of every window inside the images."""
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    blurred = _blurred(jnp.concatenate((x, y, x * x, y * y, x * y), axis=-1))
    mean_x, mean_y, square_x, square_y, product = jnp.split(blurred, 5, axis=-1)
    variance_x, variance_y, covariance = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_x + variance_y + c2)


def _blurred(x: jax.Array) -> jax.Array:
    """Average with the Gaussian window, without padding: as two products with banded matrices, the fastest form."""
    rows, columns = (jnp.asarray(_band(side)) for side in x.shape[1:3])
    x = jnp.einsum("ph,bhwc->bpwc", rows, x, precision="highest")
    return jnp.einsum("qw,bpwc->bpqc", columns, x, precision="highest")


def _band(side: int) -> np.ndarray:
    """Return the matrix [side - SIDE + 1, side] that averages a line with the window at each place inside."""
    at = np.arange(SIDE) - SIDE // 2
    window = np.exp(-(at**2) / (2 * SIGMA**2))
    band = np.zeros((side - SIDE + 1, side), np.float32)
    for first, line in enumerate(band):
        line[first : first + SIDE] = window / window.sum()
    return band


def _halved(x: jax.Array) -> jax.Array:
    h, w = (side // 2 * 2 for side in x.shape[1:3])
    return x[:, :h, :w].reshape(x.shape[0], h // 2, 2, w // 2, 2, -1).mean((2, 4))
