import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from l2s_jax.metrics.reconstruction import region_errors, summary

NAMES = ("background", "hair", "skin")
errors_of = jax.jit(region_errors, static_argnums=4)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(2)
    image = rng.uniform(-1, 1, (4, 6, 5, 3)).astype(np.float32)
    decoded = np.clip(image + rng.normal(scale=0.1, size=image.shape), -1, 1).astype(np.float32)
    mask = rng.integers(0, 3, (4, 6, 5)).astype(np.int32)
    mask[rng.random(mask.shape) < 0.2] = 255
    mask[0][mask[0] == 1] = 0  # no hair
    return decoded, image, mask, np.array([1, 1, 1, 0], np.float32)


def test_values_are_means_over_examples(batch):
    decoded, image, mask, weight = batch
    result = summary(errors_of(decoded, image, mask, weight, 3), NAMES)
    psnr = [peak_signal_noise_ratio(image[b] / 2, decoded[b] / 2, data_range=1) for b in range(3)]
    assert result["psnr"] == pytest.approx(np.mean(psnr), rel=1e-5)
    assert result["l1"] == pytest.approx(np.abs(decoded - image)[:3].mean(), rel=1e-5)
    with_hair = [1, 2]
    for where, pixels in (("inside", mask == 1), ("outside", (mask != 1) & (mask != 255))):
        l1 = [np.abs(decoded - image)[b][pixels[b]].mean() for b in with_hair]
        mse = [((decoded - image)[b][pixels[b]] ** 2).mean() / 4 for b in with_hair]
        assert result[where]["hair"]["l1"] == pytest.approx(np.mean(l1), rel=1e-5)
        assert result[where]["hair"]["psnr"] == pytest.approx(np.mean(-10 * np.log10(mse)), rel=1e-5)


def test_known_answers():
    image, mask = np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 4, 4), np.int32)
    mask[:, :2] = 2
    decoded = image + np.where(mask == 2, 0.2, 0.02)[..., None].astype(np.float32)
    result = summary(errors_of(decoded, image, mask, np.ones(1, np.float32), 3), NAMES)
    inside = {"l1": pytest.approx(0.2), "psnr": pytest.approx(20.0), "colour": pytest.approx(0.2)}
    assert result["inside"]["skin"] == inside
    outside = {"l1": pytest.approx(0.02), "psnr": pytest.approx(40.0), "colour": pytest.approx(0.02)}
    assert result["outside"]["skin"] == outside
    assert result["inside"]["background"] == pytest.approx(result["outside"]["skin"])
    assert result["inside"]["hair"] == {"l1": None, "psnr": None, "colour": None}


def test_colour_is_the_error_of_the_mean_alone():
    """Errors that cancel within the region are none of colour; each channel counts by itself."""
    image, mask = np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 4, 4), np.int32)
    decoded = image + np.where(np.arange(4)[:, None, None] % 2, 0.3, -0.3).astype(np.float32)
    decoded[..., 0] += 0.15
    result = summary(errors_of(decoded, image, mask, np.ones(1, np.float32), 3), NAMES)
    assert result["colour"] == pytest.approx(0.05)
    assert result["inside"]["background"]["colour"] == pytest.approx(0.05)


def test_perfect_and_overshooting_images():
    image, mask = np.ones((1, 4, 4, 3), np.float32), np.zeros((1, 4, 4), np.int32)
    result = summary(errors_of(image * 1.5, image, mask, np.ones(1, np.float32), 3), NAMES)
    assert result["l1"] == 0
    assert result["psnr"] == pytest.approx(100.0)


def test_batches_add_up(batch):
    whole = errors_of(*batch, 3)
    halves = [errors_of(*(x[half] for x in batch), 3) for half in (slice(0, 2), slice(2, 4))]
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(jax.tree.map(jnp.add, *halves)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_nothing_counted_is_null(batch):
    result = summary(errors_of(*batch[:3], np.zeros(4, np.float32), 3), NAMES)
    assert result["psnr"] is None
    json.dumps(result, allow_nan=False)
