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


def test_decodes_are_compared_with_the_photos_of_other_faces():
    """A model that gives every face back exactly is as near as photos are, not nearer."""
    real = np.random.default_rng(1).normal(size=(40, 6))
    found = realism.summary(real, {"perfect": real, "shifted": real + 1.0})
    assert found["perfect"] == found["photos"]
    halves = realism.kernel_distance(real[::2], real[1::2] + 1.0), realism.kernel_distance(real[1::2], real[::2] + 1.0)
    assert found["shifted"] == pytest.approx(np.mean(halves))
    assert realism.kernel_distance(real, real) < 0  # pairs pull the value down


def test_a_feature_that_all_photos_share_does_not_rule():
    real = np.random.default_rng(2).normal(size=(40, 6))
    real[:, 0] = 0.5
    fake = real + 1e-4
    assert abs(realism.summary(real, {"near": fake})["near"] - realism.summary(real, {})["photos"]) < 0.1


def test_sides_need_no_power_of_two(photos):
    assert np.isfinite(realism.pyramid_features(jnp.asarray(photos[:1, :27, :30]))).all()
