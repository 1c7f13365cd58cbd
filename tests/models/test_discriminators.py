"""Both discriminators at small sizes: conditioning, aggregation, lowerings, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.patch_discriminator import PatchDiscriminator
from tests.helpers.random_weights import random_variables


@pytest.fixture(scope="module")
def judge():
    module = Discriminator(channel_base=64, max_width=8, regions=3)
    image, region = jax.random.normal(jax.random.key(0), (4, 16, 16, 3)), jnp.asarray([0, 1, 2, 0])
    return module, random_variables(module, image, region), image, region


@pytest.fixture(scope="module")
def patches():
    module = PatchDiscriminator(channel_base=64, max_width=8, head_widths=(6, 5), regions=2)
    crops = jax.random.normal(jax.random.key(2), (2, 3, 16, 16, 3))
    return module, random_variables(module, crops, crops, jnp.asarray([0, 1])), crops


def test_the_logit_depends_on_the_region(judge):
    module, variables, image, region = judge
    logit = jax.jit(module.apply)
    first, second = logit(variables, image, region), logit(variables, image, (region + 1) % 3)
    assert first.shape == (4,)
    assert float(jnp.min(jnp.abs(first - second))) > 1e-4


def test_one_gradient_penalty_under_both_lowerings(judge):
    module, variables, image, region = judge

    def penalty(lowering):
        total = lambda x: jnp.sum(module.clone(lowering=lowering).apply(variables, x, region))  # noqa: E731
        return jax.jit(lambda x: jnp.sum(jax.grad(total)(x) ** 2, axis=(1, 2, 3)))(image)

    np.testing.assert_allclose(penalty("folded"), penalty("direct"), rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 4, 4, 3), (1, 24, 24, 3), (1, 16, 8, 3)])
def test_sizes_that_are_no_power_of_two(shape):
    with pytest.raises(ValueError, match="power of two"):
        Discriminator(channel_base=64).init(jax.random.key(0), jnp.zeros(shape))
    with pytest.raises(ValueError, match="power of two"):
        PatchDiscriminator(channel_base=64).init(jax.random.key(0), jnp.zeros((1, *shape)), jnp.zeros((1, *shape)))


def test_region_ids_are_given_exactly_to_conditional_networks(judge):
    module, variables, image, region = judge
    with pytest.raises(ValueError, match="without region ids"):
        jax.eval_shape(module.apply, variables, image)
    with pytest.raises(ValueError, match="with region ids"):
        jax.eval_shape(module.clone(regions=0).init, jax.random.key(0), image, region)


def test_a_pair_sees_the_mean_of_the_reference(patches):
    module, variables, crops = patches
    region = jnp.asarray([1, 0])
    features = jax.jit(lambda x: module.apply(variables, x, method="features"))(crops)
    pair = jax.jit(lambda *inputs: module.apply(variables, *inputs, method="pair"))
    assert features.shape == (2, 3, 2, 2, 8)
    logits = pair(features, features, region)
    assert logits.shape == (2, 3)
    shuffled = pair(features[:, ::-1], features, region)
    np.testing.assert_allclose(shuffled, logits, atol=1e-5)
    mean = jnp.mean(features, axis=1, keepdims=True)
    np.testing.assert_allclose(pair(mean, features, region), logits, atol=1e-5)
    # Every crop is judged by itself, and images do not mix.
    np.testing.assert_allclose(pair(features, features[:, 1:2], region), logits[:, 1:2], atol=1e-5)
    other = features.at[1].add(1.0)
    np.testing.assert_allclose(pair(other, other, region)[0], logits[0], atol=1e-5)


def test_patch_regions_condition_the_logit(patches):
    module, variables, crops = patches
    judge = jax.jit(module.apply)
    first, second = (judge(variables, crops, crops, jnp.asarray(r)) for r in ([0, 1], [1, 1]))
    assert float(jnp.max(jnp.abs(first[0] - second[0]))) > 1e-4
    np.testing.assert_array_equal(first[1], second[1])
