"""Mapper and discriminator of codes: published sizes, initialisation, a start at the mean code."""

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.models.identity_mapper import CodeDiscriminator, Mapper


def count(module, *shapes):
    inputs = [jax.ShapeDtypeStruct((1, width), jnp.float32) for width in shapes]
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(module.init, jax.random.key(0), *inputs)))


def test_published_sizes():
    assert count(Mapper(), 512, 2048) == 8_130_560
    assert count(CodeDiscriminator(), 512) == 172_545


def test_a_small_last_layer_starts_at_the_mean():
    identity, attributes, mean = jnp.ones((2, 3)), jnp.ones((2, 5)), jnp.arange(4.0)

    def first(scale):
        module = Mapper(outputs=4, widths=(8, 8, 8), last_scale=scale)
        return module, module.init(jax.random.key(0), identity, attributes)

    (module, small), (_, whole) = first(0.05), first(1.0)
    kernel = np.asarray(small["params"]["dense_3"]["kernel"])
    np.testing.assert_allclose(kernel, 0.05 * np.asarray(whole["params"]["dense_3"]["kernel"]), rtol=1e-5)
    code = module.apply(small, identity, attributes, mean)
    np.testing.assert_allclose(code - mean[None], module.apply(small, identity, attributes), atol=1e-6)
    assert np.abs(code - mean[None]).max() < 0.3


def test_initialisation_is_glorot_then_he():
    variables = Mapper(outputs=400, widths=(300, 300, 300)).init(
        jax.random.key(0), jnp.ones((1, 200)), jnp.ones((1, 200))
    )
    deviations = [float(np.std(variables["params"][f"dense_{n}"]["kernel"])) for n in range(4)]
    glorot, he = np.sqrt(2 / (400 + 300)), np.sqrt(2 / 1.04 / 300)
    np.testing.assert_allclose(deviations, [glorot, np.sqrt(2 / 600), he, he], rtol=0.02)
    assert np.abs(variables["params"]["dense_0"]["kernel"]).max() <= np.sqrt(6 / 700)  # uniform
