"""The kernel distance: 0 within one distribution, and larger the blurrier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.metrics import realism


@pytest.fixture(scope="module")
def photos():
    """Smooth random colours with fine detail, [64, 32, 32, 3]."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-0.5, 0.5, (64, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
    return (coarse + 0.3 * rng.normal(size=(64, 32, 32, 3))).astype(np.float32)


def blurred(images, times):
    for _ in range(times):
        images = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2) + np.roll(images, (1, 1), (1, 2))) / 4
    return images


def test_unbiased_mmd_by_hand():
    real, fake = np.array([[-1.0], [1.0]]), np.array([[-1.0], [3.0]])
    # Standardised by the real ones: unchanged. k(a, b) = (a b + 1)^3.
    expected = (1 - 1) ** 3 + (1 - 3) ** 3 - 2 * np.mean([(1 + 1) ** 3, (1 - 3) ** 3, (1 - 1) ** 3, (1 + 3) ** 3])
    assert realism.kernel_distance(real, fake) == pytest.approx(expected)


def test_photos_are_near_photos_and_blur_is_far(photos):
    features = jax.jit(realism.pyramid_features)
    real = np.asarray(features(photos))
    kinds = {f"blur_{n}": np.asarray(features(jnp.asarray(blurred(photos, n)))) for n in (1, 2, 4)}
    found = realism.summary(real, kinds)
    assert found["features"] == "pyramid"
    assert abs(found["photos"]) < 0.05 * found["blur_1"]
    assert 0 < found["blur_1"] < found["blur_2"] < found["blur_4"]
    assert realism.summary(real[:4], {"any": real})["any"] is None


def test_sides_need_no_power_of_two(photos):
    assert np.isfinite(realism.pyramid_features(jnp.asarray(photos[:1, :27, :30]))).all()
