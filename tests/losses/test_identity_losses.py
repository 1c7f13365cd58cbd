"""Losses of Face Identity Disentanglement against worked numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.losses import identity as losses
from l2s_jax.losses.adversarial import r1
from l2s_jax.models.identity_mapper import CodeDiscriminator
from l2s_jax.types import GLOBAL_VIEW

contrastive = jax.jit(losses.contrastive_loss, static_argnums=(2, 3, 5))
reconstruction = jax.jit(losses.reconstruction_loss, static_argnums=3, static_argnames="summed")


def same(tree):
    return tree


def vectors(*shape, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_shapes_ignore_where_a_part_is():
    points = np.random.default_rng(1).normal(size=(2, 68, 2)).astype(np.float32)
    moved = points.copy()
    moved[:, 48:] += (3.0, -2.0)  # the whole mouth
    np.testing.assert_allclose(losses.shapes(moved), losses.shapes(points), atol=1e-5)
    opened = points.copy()
    opened[:, 56] += (0.0, 1.0)  # one of its 20 points
    change = np.asarray(losses.shapes(opened) - losses.shapes(points))[:, :, 1]
    np.testing.assert_allclose(change[:, 56], 0.95, rtol=1e-4)
    np.testing.assert_allclose(change[:, 48], -0.05, rtol=1e-4)
    np.testing.assert_allclose(change[:, :48], 0, atol=1e-6)


def test_identity_l1_is_a_mean_over_numbers_and_cosine_over_rows():
    e, t, weight = vectors(3, 8), vectors(3, 8, seed=1), jnp.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(losses.identity_loss(e, t, "l1", weight, same), np.abs(e - t)[:2].mean(), rtol=1e-6)
    expected = 1 - (e * t).sum(-1)[:2].mean()
    np.testing.assert_allclose(losses.identity_loss(e, t, "cosine", weight, same), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_no_gradient_flows_into_the_identity_that_is_wanted(kind):
    def loss(embedding, target):
        return losses.identity_loss(embedding, target, kind, jnp.ones(3), same)

    own, target = jax.jit(jax.grad(loss, (0, 1)))(vectors(3, 8), vectors(3, 8, seed=1))
    assert np.abs(own).max() > 0
    assert not np.any(target)


def test_landmarks_count_in_pixels_of_160():
    """One pixel of 64 is 2.5 of 160: every coordinate off by one gives 6.25."""
    points = np.zeros((2, 5, 2), np.float32)
    off = points + 1 / 64
    np.testing.assert_allclose(losses.landmark_loss(off, points, jnp.ones(2), same), 6.25, rtol=1e-5)
    slope = jax.jit(jax.grad(lambda target: losses.landmark_loss(off, target, jnp.ones(2), same)))(points)
    assert not np.any(slope)


def test_the_pixel_mask_is_the_published_one():
    """It sums to 1, and at 256 px a corner weighs 12.7 times the centre."""
    mask = losses.pixel_mask(256, "gaussian")
    np.testing.assert_allclose(mask.sum(dtype=np.float64), 1, rtol=1e-5)
    np.testing.assert_allclose(mask[0, 0] / mask[127, 127], 12.7, atol=0.05)
    np.testing.assert_array_equal(losses.pixel_mask(8, "uniform"), np.full((8, 8), 1 / 64, np.float32))
    np.testing.assert_allclose(losses.pixel_mask(64, "gaussian").sum(dtype=np.float64), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "summed", "expected"), [(2, False, 0.1), (4, False, 0.1), (2, True, 0.2), (4, True, 0.4)]
)
def test_published_l1_grows_with_the_batch(rows, summed, expected):
    """Pictures that differ by .1 of [0, 1] everywhere; alpha 0 leaves L1 alone. Padding does not count."""
    image = np.zeros((rows + 1, 16, 16, 3), np.float32)
    weight = np.float32([1] * rows + [0])
    mask = losses.pixel_mask(16, "gaussian")
    arguments = {"alpha": 0.0, "mask": mask, "summed": summed}
    value = reconstruction(image + 0.2, image, weight, same, **arguments)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_reconstruction_mixes_structure_and_l1():
    image = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    mask, weight = losses.pixel_mask(16, "uniform"), jnp.ones(2)

    def loss(alpha):
        return reconstruction(image[::-1], image, weight, same, alpha=alpha, mask=mask, summed=False)

    np.testing.assert_allclose(loss(0.84), 0.84 * loss(1.0) + 0.16 * loss(0.0), rtol=1e-5)
    equal = reconstruction(image, image, weight, same, alpha=0.84, mask=mask, summed=True)
    np.testing.assert_allclose(equal, 0, atol=1e-6)


def reference_pairs(first, second, margin, scale):
    """InfoNCE in float64, one row at a time."""
    total = 0.0
    for own, among in ((first, second), (second, first)):
        for row in range(len(own)):
            logits = scale * (np.float64(among) @ own[row] - margin * (np.arange(len(own)) == row))
            total += np.log(np.exp(logits).sum()) - logits[row]
    return total / (2 * len(first))


def test_people_are_found_among_those_of_the_batch():
    first, second = vectors(4, 6), vectors(4, 6, seed=1)
    for margin in (0.0, 0.2):
        loss, _ = contrastive(first, second, margin, 8.0, np.ones(4), GLOBAL_VIEW)
        np.testing.assert_allclose(loss, reference_pairs(first, second, margin, 8.0), rtol=1e-5)
    hits = contrastive(first, first[[0, 1, 3, 2]], 0.5, 8.0, np.ones(4), GLOBAL_VIEW)[1]
    np.testing.assert_allclose(hits, 0.5)


def test_padding_is_nobody():
    first, second = vectors(4, 6), vectors(4, 6, seed=1)
    padded = [np.concatenate((x, y[:2])) for x, y in ((first, second), (second, first))]

    def loss(e, other, weight):
        return losses.contrastive_loss(e, other, 0.1, 8.0, weight, GLOBAL_VIEW)[0]

    value, slope = jax.jit(jax.value_and_grad(loss))(*padded, np.float32([1, 1, 1, 1, 0, 0]))
    np.testing.assert_allclose(value, reference_pairs(first, second, 0.1, 8.0), rtol=1e-5)
    assert np.all(np.isfinite(slope))
    assert not np.any(slope[4:])


def test_losses_of_two_devices_are_those_of_one(on_two_devices):
    e, t, weight = vectors(4, 8), vectors(4, 8, seed=1), np.array([1, 1, 0, 1], np.float32)
    image = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    mask = losses.pixel_mask(16, "gaussian")

    def loss(scale, e, t, image, weight, psum):
        summed = losses.reconstruction_loss(scale * image, image, weight, psum, alpha=0.5, mask=mask, summed=True)
        return losses.identity_loss(scale * e, t, "l1", weight, psum) + summed

    alone, its_slope = jax.jit(jax.value_and_grad(lambda scale: loss(scale, e, t, image, weight, same)))(0.9)
    value, slope = on_two_devices(loss, 0.9, e, t, image, weight)
    np.testing.assert_allclose(value, alone, rtol=1e-5)
    np.testing.assert_allclose(slope, its_slope, rtol=1e-4)


def test_r1_of_a_discriminator_of_codes():
    """Without hidden layers it is linear, and R1 is the square of its weights whatever the codes."""
    module = CodeDiscriminator(widths=())
    codes = jnp.asarray(vectors(3, 7))
    variables = module.init(jax.random.key(0), codes)
    weights = np.asarray(variables["params"]["dense_0"]["kernel"])
    penalty = jax.jit(lambda codes: r1(lambda x: module.apply(variables, x), codes))(codes)
    np.testing.assert_allclose(penalty, np.full(3, (weights**2).sum()), rtol=1e-5)
