"""Encoder and generator at small sizes: normalisation, slices as a batch axis, noise, dtypes, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.layers.slices import masked_codes
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from tests.helpers.random_weights import random_variables

SLICES = ((0, 2), (2, 5))
SMALL = {"base_width": 4, "max_width": 8, "downsamplings": 1, "structure_channels": 6, "style_dims": 5}


@pytest.fixture(scope="module")
def encoded():
    """(encoder, variables, image, structure, style) of 16 px images without any normalisation of the structure."""
    encoder = Encoder(**SMALL, structure_norm="none")
    image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3), minval=-1, maxval=1)
    variables = random_variables(encoder, image)
    return encoder, variables, image, *jax.jit(encoder.apply)(variables, image)


@pytest.fixture(scope="module")
def generator():
    """(generator, variables, jitted apply) of one doubling."""
    module = Generator(head_widths=(8,), widths=(4,), renormalize=False)
    return module, random_variables(module, jnp.ones((1, 2, 2, 6)), jnp.ones((1, 5))), jax.jit(module.apply)


def test_code_shapes(encoded):
    *_, structure, style = encoded
    assert structure.shape == (2, 8, 8, 6)
    assert style.shape == (2, 5)


@pytest.mark.parametrize("norm", ["pixel", "slice"])
def test_structure_norms(encoded, norm):
    encoder, variables, image, raw, style = encoded
    code, same_style = jax.jit(encoder.clone(structure_norm=norm, slices=SLICES).apply)(variables, image)
    parts = [slice(None)] if norm == "pixel" else [slice(*s) for s in SLICES]
    for part in parts:
        expected = raw[..., part] / jnp.linalg.norm(raw[..., part], axis=-1, keepdims=True)
        np.testing.assert_allclose(code[..., part], expected, atol=1e-5)
    np.testing.assert_allclose(same_style, style, atol=1e-6)


def test_style_norms(encoded):
    encoder, variables, image, _, style = encoded
    np.testing.assert_allclose(jnp.linalg.norm(style, axis=-1), 1, rtol=1e-5)
    louder = jax.jit(encoder.clone(style_norm="rms").apply)(variables, image)[1]
    np.testing.assert_allclose(louder, style * 5**0.5, rtol=1e-5)


def test_small_images_need_fewer_style_downsamplings(encoded):
    encoder, *_ = encoded
    small = jnp.zeros((1, 6, 6, 3))
    with pytest.raises(UserError, match="at least 14 px"):
        encoder.init(jax.random.key(0), small)
    shapes = jax.eval_shape(encoder.clone(style_downsamplings=1).init_with_output, jax.random.key(0), small)[0]
    assert [s.shape for s in shapes] == [(1, 3, 3, 6), (1, 5)]
    with pytest.raises(UserError, match="multiples of 2"):
        encoder.init(jax.random.key(0), jnp.zeros((1, 15, 16, 3)))


def test_slices_decode_as_if_each_were_alone(encoded, generator):
    *_, structure, style = encoded
    _, variables, decode = generator
    codes = masked_codes(structure, SLICES)
    together = decode(variables, codes, style)
    assert together.shape == (2, 2, 16, 16, 3)
    for k in range(2):
        np.testing.assert_allclose(together[:, k], decode(variables, codes[:, k], style), atol=1e-5)


def test_lowerings_of_the_whole_generator_agree(encoded, generator):
    *_, structure, style = encoded
    module, variables, decode = generator
    direct = jax.jit(module.clone(lowering="direct").apply)(variables, structure, style)
    np.testing.assert_allclose(direct, decode(variables, structure, style), atol=1e-4)


def test_noise_planes_keys_and_silence(encoded, generator):
    *_, structure, style = encoded
    module, variables, decode = generator
    codes, keys = masked_codes(structure, SLICES), jax.random.split(jax.random.key(3), 2)
    drawn = decode(variables, codes, style, keys)
    planes = jax.jit(module.noise_planes, static_argnums=(1, 2, 3))(keys, 2, 8, 8)
    assert {name: plane.shape for name, plane in planes.items()} == {
        f"{block}/conv_{j}": (4, side, side, 1) for block, side in (("head_0", 8), ("up_2", 16)) for j in (0, 1)
    }
    np.testing.assert_allclose(decode(variables, codes, style, planes), drawn, atol=1e-5)
    assert float(jnp.mean(jnp.abs(drawn - decode(variables, codes, style)))) > 0.01
    # A row's noise follows its image's key, not its place in the batch.
    np.testing.assert_allclose(decode(variables, codes[::-1], style[::-1], keys[::-1])[::-1], drawn, atol=1e-5)
    flat = [np.asarray(plane[:, :8, :8]).ravel() for plane in planes.values()]
    assert np.max(np.abs(np.corrcoef(flat) - np.eye(4))) < 0.3  # every layer draws its own


def test_renormalising_leaves_only_the_sign_of_a_single_channel(encoded, generator):
    """The published defect "One-channel slices" is kept behind `renormalize`, and absent without it."""
    *_, structure, style = encoded
    module, variables, decode = generator
    code = structure * (jnp.arange(6) == 5)[None, None, None]
    faithful = jax.jit(module.clone(renormalize=True).apply)
    np.testing.assert_allclose(faithful(variables, 3 * code, style), faithful(variables, code, style), atol=1e-3)
    assert float(jnp.mean(jnp.abs(decode(variables, 3 * code, style) - decode(variables, code, style)))) > 1e-3


def test_compute_dtype(encoded, generator):
    encoder, variables, image, structure, style = encoded
    module, generator_variables, decode = generator
    coarse = jax.jit(encoder.clone(dtype=jnp.bfloat16).apply)(variables, image)
    assert [code.dtype for code in coarse] == [jnp.float32, jnp.float32]
    assert 0 < float(jnp.max(jnp.abs(coarse[0] - structure))) < 0.1 * float(jnp.max(jnp.abs(structure)))
    picture = jax.jit(module.clone(dtype=jnp.bfloat16).apply)(generator_variables, structure, style)
    exact = decode(generator_variables, structure, style)
    assert picture.dtype == jnp.float32
    assert float(jnp.linalg.norm(picture - exact)) < 0.05 * float(jnp.linalg.norm(exact))
