"""Published parameter counts and map sizes, without allocating them."""

import jax
import jax.numpy as jnp
import pytest

from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from l2s_jax.models.patch_discriminator import PatchDiscriminator


def abstract(module, *shapes):
    """(outputs, number of parameters) of a network, by shape alone."""
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    outputs, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), *inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    return jax.tree.map(lambda leaf: leaf.shape, outputs), sum(leaf.size for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(("size", "code"), [(128, 8), (512, 32)])
def test_encoder(size, code):
    outputs, count = abstract(Encoder(), (2, size, size, 3))
    assert outputs == ((2, code, code, 8), (2, 2048))
    assert count == 30_584_872


@pytest.mark.parametrize("code", [8, 32])
def test_generator(code):
    image, count = abstract(Generator(), (2, 5, code, code, 8), (2, 2048))
    assert image == (2, 5, 16 * code, 16 * code, 3)
    assert count == 25_064_743


@pytest.mark.parametrize(("size", "expected"), [(128, 28_384_513), (512, 28_978_241)])
def test_discriminator(size, expected):
    assert abstract(Discriminator(), (4, size, size, 3)) == ((4,), expected)


def test_patch_discriminator():
    assert abstract(PatchDiscriminator(), (2, 8, 128, 128, 3), (2, 4, 128, 128, 3)) == ((2, 4), 24_522_145)


def test_regions_add_one_embedding_each():
    plain = abstract(Discriminator(), (4, 64, 64, 3))[1]
    image, region = jax.ShapeDtypeStruct((4, 64, 64, 3), jnp.float32), jax.ShapeDtypeStruct((4,), jnp.int32)
    variables = jax.eval_shape(Discriminator(regions=6).init, jax.random.key(0), image, region)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == plain + 6 * 512
