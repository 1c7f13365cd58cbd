import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.losses.reconstruction import l1, region_images, region_l1, region_masks

REGIONS = 3


def same(tree):
    return tree


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    image = rng.uniform(-1, 1, (4, 5, 6, 3)).astype(np.float32)
    mask = rng.integers(0, REGIONS - 1, (4, 5, 6)).astype(np.int32)  # the last region is absent
    mask[rng.random(mask.shape) < 0.2] = 255
    decoded = rng.uniform(-1, 1, (4, REGIONS, 5, 6, 3)).astype(np.float32)
    return image, mask, decoded, np.array([1, 0, 1, 1], np.float32)


def test_region_images_hold_the_region_on_black(batch):
    image, mask, _, _ = batch
    targets = np.asarray(region_images(image, region_masks(mask, REGIONS)))
    assert targets.shape == (4, REGIONS, 5, 6, 3)
    for k in range(REGIONS):
        np.testing.assert_array_equal(targets[:, k][mask == k], image[mask == k])
        assert np.all(targets[:, k][mask != k] == -1)


def test_soft_and_overlapping_masks(batch):
    image, _, _, _ = batch
    half = region_images(image, jnp.full((4, 2, 5, 6), 0.5))
    np.testing.assert_allclose(half, np.stack([(image - 1) / 2] * 2, axis=1), atol=1e-6)


def test_l1_known_answers(batch):
    image, _, _, weight = batch
    np.testing.assert_allclose(l1(image, image + 0.25, weight, same), 0.25, rtol=1e-5)
    assert l1(image, image + 1, jnp.zeros(4), same) == 0


def test_l1_of_regions_takes_a_weight_per_region(batch):
    _, _, decoded, _ = batch
    present = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]], np.float32)
    value = l1(decoded, jnp.zeros_like(decoded), present, same)
    np.testing.assert_allclose(value, np.abs(decoded[present > 0]).mean(), rtol=1e-5)


def test_region_l1_by_hand(batch):
    image, mask, decoded, weight = batch
    kept = np.broadcast_to((weight > 0)[:, None, None], mask.shape)
    per_region = [np.abs(decoded[:, k] - image)[kept & (mask == k)].mean() for k in range(REGIONS - 1)]
    value = region_l1(decoded, image, region_masks(mask, REGIONS), weight, same)
    np.testing.assert_allclose(value, np.mean(per_region), rtol=1e-5)


def test_weight_zero_is_dropping(batch):
    image, mask, decoded, weight = batch
    kept = weight > 0
    dropped = region_l1(decoded[kept], image[kept], region_masks(mask[kept], REGIONS), weight[kept], same)
    np.testing.assert_allclose(region_l1(decoded, image, region_masks(mask, REGIONS), weight, same), dropped, rtol=1e-6)
    np.testing.assert_allclose(
        l1(image, -image, weight, same), l1(image[kept], -image[kept], weight[kept], same), rtol=1e-6
    )


def test_two_devices_agree_with_one(batch, on_two_devices):
    def loss(scale, image, mask, decoded, weight, psum):
        whole = l1(scale * image, decoded[:, 0], weight, psum)
        return whole + region_l1(scale * decoded, image, region_masks(mask, REGIONS), weight, psum)

    value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=5)(0.8, *batch, same)
    split_value, split_gradient = on_two_devices(loss, 0.8, *batch)
    np.testing.assert_allclose(split_value, value, rtol=1e-6)
    np.testing.assert_allclose(split_gradient, gradient, rtol=1e-5)
