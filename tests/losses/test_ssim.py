import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from l2s_jax.losses import ssim

jitted = jax.jit(ssim.ms_ssim)


def pictures(side, seed=0):
    """Smooth pictures [2, side, side, 3] in [-1, 1], and noisy copies."""
    rng = np.random.default_rng(seed)
    at = np.linspace(0, 6, side)
    slope, start = rng.uniform(0.5, 2, (2, 1, 1, 3)), rng.uniform(0, 6, (2, 1, 1, 3))
    waves = 0.8 * np.sin(slope * at[:, None, None] + at[:, None] + start).astype(np.float32)
    return waves, np.clip(waves + 0.2 * rng.normal(size=waves.shape), -1, 1).astype(np.float32)


def test_one_scale_is_ssim():
    """Under 22 px there is one scale. scikit-image crops the border of half a window as well."""
    clean, noisy = pictures(20)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2.0}
    expected = [
        structural_similarity(x + 1, y + 1, channel_axis=-1, **options) for x, y in zip(clean, noisy, strict=True)
    ]
    np.testing.assert_allclose(jitted(clean, noisy), expected, rtol=1e-4)


def reference(x, y):
    """MS-SSIM of one picture in float64, written from the paper with SciPy's filters."""
    weights, score = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]), 1.0

    def blur(z):
        return gaussian_filter(z, (1.5, 1.5, 0), truncate=3.4)[5:-5, 5:-5]

    for scale, weight in enumerate(weights):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        term = (2 * cov + 0.06**2) / (vx + vy + 0.06**2)
        if scale == 4:
            term = term * (2 * mx * my + 0.02**2) / (mx**2 + my**2 + 0.02**2)
        score *= term.mean((0, 1)) ** weight
        x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
    return score.mean()


def test_five_scales_with_luminance_at_the_last_alone():
    clean, noisy = pictures(192)
    expected = [
        reference(x, y) for x, y in zip(clean.astype(np.float64) + 1, noisy.astype(np.float64) + 1, strict=True)
    ]
    np.testing.assert_allclose(jitted(clean, noisy), expected, rtol=1e-4)


@pytest.mark.parametrize("side", [20, 64, 96])
def test_equal_pictures_score_one_and_noise_less_than_a_shift_of_grey(side):
    clean, noisy = pictures(side)
    np.testing.assert_allclose(jitted(clean, clean), 1, rtol=1e-5)
    assert (np.asarray(jitted(clean, noisy)) < np.asarray(jitted(clean, clean - 0.05))).all()
    np.testing.assert_allclose(jitted(clean, noisy), jitted(noisy, clean), rtol=1e-5)


def test_coarse_scales_forgive_fine_noise():
    clean, noisy = pictures(96)
    assert (np.asarray(jitted(clean, noisy)) > np.asarray(jitted(clean[:, :20, :20], noisy[:, :20, :20]))).all()


def test_gradient_is_finite_where_pictures_are_opposite():
    clean, _ = pictures(64)
    gradient = jax.jit(jax.grad(lambda x: ssim.ms_ssim(x, -clean).sum()))(clean)
    assert np.isfinite(gradient).all()
