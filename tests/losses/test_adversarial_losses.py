import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.adversarial import fake_loss, generator_loss, r1, r1_penalty, real_loss

r1_of = jax.jit(r1, static_argnums=0, static_argnames="batch_axes")


def same(tree):
    return tree


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_known_answers():
    weight = jnp.array([1.0, 1.0, 0.0])
    logits = jnp.array([0.0, 2.0, 50.0])
    np.testing.assert_allclose(generator_loss(logits, weight, same), np.log1p(np.exp([0, -2.0])).mean(), rtol=1e-6)
    np.testing.assert_allclose(fake_loss(logits, weight, same), np.log1p(np.exp([0, 2.0])).mean(), rtol=1e-6)
    np.testing.assert_allclose(fake_loss(-logits, weight, same), real_loss(logits, weight, same), rtol=1e-6)


def test_large_logits_neither_overflow_nor_saturate():
    value, gradient = jax.value_and_grad(generator_loss)(jnp.array([-1e4]), jnp.ones(1), same)
    np.testing.assert_allclose(value, 1e4, rtol=1e-6)
    np.testing.assert_allclose(gradient, [-1.0], rtol=1e-6)


def test_absent_regions_take_no_part():
    logits = images(2, 3)
    present = jnp.array([[1.0, 0, 1], [0, 0, 1]])
    expected = np.log1p(np.exp(-np.asarray(logits)))[np.asarray(present) > 0].mean()
    np.testing.assert_allclose(generator_loss(logits, present, same), expected, rtol=1e-5)


def test_weights_of_examples_spread_over_their_regions():
    logits = images(2, 3)
    np.testing.assert_allclose(
        generator_loss(logits, jnp.array([0.0, 1.0]), same), generator_loss(logits[1:], jnp.ones(1), same), rtol=1e-6
    )


def test_r1_of_a_linear_discriminator_is_the_norm_of_its_weights():
    weights = images(4, 5, 3)
    penalty = r1_of(lambda x: jnp.einsum("bhwc,hwc->b", x, weights), images(6, 4, 5, 3))
    np.testing.assert_allclose(penalty, np.full(6, np.sum(weights**2)), rtol=1e-5)


def test_r1_of_a_quadratic_discriminator_is_per_example():
    x = images(3, 2, 2, 1)
    np.testing.assert_allclose(
        r1_of(lambda x: jnp.sum(x**2, axis=(1, 2, 3)) / 2, x), np.sum(x**2, axis=(1, 2, 3)), rtol=1e-5
    )


def test_r1_per_region_is_the_same_for_every_region():
    """No region's penalty counts twice or not at all (docs/methods/latents2segments.md, "R1 mix-up")."""
    x = images(2, 5, 4, 4, 3)
    penalty = r1_of(lambda x: jnp.sum(x**2, axis=(2, 3, 4)) / 2, x, batch_axes=2)
    np.testing.assert_allclose(penalty, np.sum(x**2, axis=(2, 3, 4)), rtol=1e-5)
    only_fourth = r1_of(
        lambda x: jnp.sum(x**2, axis=(2, 3, 4)) / 2,
        x * np.array([1, 1, 1, 2, 1], np.float32).reshape(1, 5, 1, 1, 1),
        batch_axes=2,
    )
    np.testing.assert_allclose(only_fourth / penalty, np.broadcast_to([1, 1, 1, 4, 1], (2, 5)), rtol=1e-5)


def test_r1_of_two_crop_sets_is_the_sum_of_both():
    first, second = images(2, 8, 3, 3, 3), images(2, 8, 3, 3, 3) + 1
    penalty = r1_of(lambda pair: jnp.sum(2 * pair[0] + pair[1], axis=(2, 3, 4)), (first, second))
    np.testing.assert_allclose(penalty, np.full(2, (4 + 1) * 8 * 27), rtol=1e-6)
    np.testing.assert_allclose(r1_penalty((first, second)), r1_penalty(first) + r1_penalty(second), rtol=1e-6)


def test_r1_is_differentiable_in_the_discriminator():
    """D(x) = a <w, x> has R1 = a^2 |w|^2, whose derivative is 2 a |w|^2."""
    weights = images(3, 3, 3)

    def penalty(a):
        return jnp.mean(r1_of(lambda x: a * jnp.einsum("bhwc,hwc->b", x, weights), images(4, 3, 3, 3)))

    np.testing.assert_allclose(jax.grad(penalty)(1.5), 3 * np.sum(weights**2), rtol=1e-5)


def test_the_gradient_of_r1_is_that_of_its_definition():
    """Of a discriminator that mixes its batch, with unequal weights, in its parameters and in the images."""
    kernel, real, weight = images(12, 5), images(4, 2, 2, 3), jnp.array([1.0, 0, 2, 0.5])

    def judge(kernel, x):
        hidden = jnp.tanh(x.reshape(4, -1) @ kernel)
        return jnp.sum(hidden * hidden.mean(0, keepdims=True), axis=1)

    def definition(kernel, x):
        return r1_penalty(jax.grad(lambda x: judge(kernel, x).sum())(x))

    def ours(kernel, x):
        return r1(lambda x: judge(kernel, x), x)

    found, expected = (
        jax.jit(jax.value_and_grad(lambda *inputs, way=way: jnp.sum(weight * way(*inputs)), (0, 1)))(kernel, real)
        for way in (ours, definition)
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_two_devices_agree_with_one(on_two_devices):
    def loss(scale, real, fake, weight, psum):
        return real_loss(scale * real, weight, psum) + fake_loss(scale * fake, weight, psum)

    arrays = (images(4, 2), 2 * images(4, 2), jnp.array([1.0, 0, 1, 1]))
    value, gradient = jax.value_and_grad(loss)(1.7, *arrays, same)
    split_value, split_gradient = on_two_devices(loss, 1.7, *arrays)
    np.testing.assert_allclose(split_value, value, rtol=1e-6)
    np.testing.assert_allclose(split_gradient, gradient, rtol=1e-5)
