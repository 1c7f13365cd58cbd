"""The kernel distance: 0 within one distribution, and larger the blurrier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

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
    found = realism.summary("any", real, kinds)
    assert found["features"] == "any"
    assert found["frechet"]["photos"] < found["frechet"]["blur_1"] < found["frechet"]["blur_4"]
    assert abs(found["photos"]) < 0.05 * found["blur_1"]
    assert 0 < found["blur_1"] < found["blur_2"] < found["blur_4"]
    assert realism.summary("any", real[:4], {"any": real})["any"] is None


def test_decodes_are_compared_with_the_photos_of_other_faces():
    """A model that gives every face back exactly is as near as photos are, not nearer."""
    real = np.random.default_rng(1).normal(size=(40, 6))
    found = realism.summary("any", real, {"perfect": real, "shifted": real + 1.0})
    assert found["perfect"] == found["photos"]
    halves = realism.kernel_distance(real[::2], real[1::2] + 1.0), realism.kernel_distance(real[1::2], real[::2] + 1.0)
    assert found["shifted"] == pytest.approx(np.mean(halves))
    frechet = [realism.frechet_distance(real[i::2] / real.std(0), real[1 - i :: 2] / real.std(0)) for i in (0, 1)]
    assert found["frechet"]["perfect"] == found["frechet"]["photos"] == pytest.approx(np.mean(frechet))
    assert realism.kernel_distance(real, real) < 0  # pairs pull the value down


def test_a_feature_that_all_photos_share_does_not_rule():
    real = np.random.default_rng(2).normal(size=(40, 6))
    real[:, 0] = 0.5
    fake = real + 1e-4
    assert abs(realism.summary("any", real, {"near": fake})["near"] - realism.summary("any", real, {})["photos"]) < 0.1


def test_sides_need_no_power_of_two(photos):
    assert np.isfinite(jax.jit(realism.pyramid_features)(photos[:1, :27, :30])).all()


def gaussian(mean, covariance, count=200, seed=3):
    """Samples whose mean and covariance (divisor count - 1) are exactly the given ones."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(count - 1)
    return mean + x @ np.linalg.cholesky(covariance).T


def test_frechet_distance_of_one_dimension():
    """(m - n)^2 + (s - t)^2."""
    real, fake = gaussian([1.0], [[4.0]]), gaussian([-2.0], [[0.25]], count=50)
    assert realism.frechet_distance(real, fake) == pytest.approx(3**2 + 1.5**2)


def test_frechet_distance_of_covariances_that_commute():
    """The sum of (sqrt a - sqrt b)^2 over the eigenvalues of common axes."""
    axes = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    a, b = np.array([4.0, 1, 0.01]), np.array([1.0, 9, 0.04])
    shift = np.array([1.0, -2, 0.5])
    real, fake = gaussian(np.zeros(3), axes * a @ axes.T), gaussian(shift, axes * b @ axes.T, seed=5)
    expected = np.sum(shift**2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert realism.frechet_distance(real, fake) == pytest.approx(expected)


def test_frechet_distance_of_covariances_that_do_not():
    """In two dimensions tr (A B)^(1/2) = sqrt(tr A B + 2 sqrt det A B)."""
    a, b = np.array([[2.0, 0.5], [0.5, 1]]), np.array([[1.0, -0.7], [-0.7, 3]])
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = realism.frechet_distance(gaussian(np.zeros(2), a), gaussian(np.zeros(2), b, seed=5))
    assert found == pytest.approx(np.trace(a + b) - 2 * root)


def test_frechet_distance_is_the_published_formula():
    rng = np.random.default_rng(6)
    real, fake = rng.normal(size=(80, 10)) @ rng.normal(size=(10, 10)), rng.gamma(2, size=(60, 10))
    a, b = np.cov(real.T), np.cov(fake.T)
    root = scipy.linalg.sqrtm(a @ b)
    expected = np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(a + b - 2 * root.real)
    assert realism.frechet_distance(real, fake) == pytest.approx(expected)
    assert realism.frechet_distance(fake, real) == pytest.approx(expected)
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    assert realism.frechet_distance(real @ turn + 1e3, fake @ turn + 1e3) == pytest.approx(expected)


def test_frechet_distance_with_fewer_faces_than_features():
    """Singular covariances, of which scipy's root of the product is not to be trusted: by a symmetric product."""
    rng = np.random.default_rng(7)
    real, fake = rng.normal(size=(8, 20)), rng.normal(size=(12, 20)) + 0.5
    a, b = np.cov(real.T), np.cov(fake.T)
    values, vectors = np.linalg.eigh(a)
    half = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ b @ half), 0)).sum()
    expected = np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * common
    assert realism.frechet_distance(real, fake) == pytest.approx(expected, abs=1e-5)
    assert realism.frechet_distance(real, real) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_refuses_samples_that_do_not_compare():
    rows = np.zeros((4, 3))
    for real, fake in ((rows[:1], rows), (rows, rows[:1]), (rows, rows[:, :2])):
        with pytest.raises(ValueError, match="at least two rows"):
            realism.frechet_distance(real, fake)
