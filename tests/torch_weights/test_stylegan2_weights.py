"""Published names -> our variables: all have a place, what has none is named, the network is the published one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.systems.stylegan2.convert import convert_generator, read
from tests.helpers import numpy_stylegan2, stylegan2_weights
from tests.helpers.stylegan2_discriminator import convert_discriminator

SIZE = 16


@pytest.fixture(scope="module")
def state():
    return stylegan2_weights.generator(SIZE)


@pytest.fixture(scope="module")
def converted(state):
    return convert_generator(state)


def doubles(state):
    return {name: np.asarray(tensor, np.float64) for name, tensor in state.items()}


def test_a_generator_computes_what_its_tensors_say(state, converted):
    z = np.random.default_rng(0).standard_normal((2, 5))
    w = numpy_stylegan2.mapping(doubles(state), z)
    expected = [numpy_stylegan2.synthesis(doubles(state), np.repeat(row[None], 6, axis=0)) for row in w]
    image = jax.jit(converted.network.apply)(converted.variables, jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(image, np.stack(expected).transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-3)


def test_a_discriminator_computes_what_its_tensors_say():
    state = stylegan2_weights.discriminator(SIZE)
    network, variables = convert_discriminator(state)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 3, SIZE, SIZE))
    logits = jax.jit(network.apply)(variables, jnp.asarray(images.transpose(0, 2, 3, 1), jnp.float32))
    np.testing.assert_allclose(logits, numpy_stylegan2.discriminator(doubles(state), images), rtol=1e-3, atol=1e-4)


def test_every_weight_arrives_unchanged_in_value(state, converted):
    ours = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(converted.variables)])
    theirs = [tensor.ravel() for name, tensor in state.items() if "kernel" not in name]
    mean = converted.variables["buffers"]["w_avg"]
    np.testing.assert_array_equal(np.sort(ours), np.sort(np.concatenate([*theirs, mean])))


def test_the_mean_code_is_that_of_the_file_or_of_many_draws(state, converted):
    given = convert_generator(state | {"latent_avg": np.arange(5, dtype=np.float32)})
    np.testing.assert_array_equal(given.variables["buffers"]["w_avg"], np.arange(5))
    z = np.random.default_rng(2).standard_normal((10_000, 5))
    w = numpy_stylegan2.mapping(doubles(state), z)
    error = np.abs(converted.variables["buffers"]["w_avg"] - w.mean(axis=0))
    assert np.all(error < 6 * w.std(axis=0) / 100)


def test_a_model_has_the_sizes_of_the_tensors(state):
    config = configs.default("stylegan2").unlock()
    model = read(state, None, config)
    assert (model.image_size, config.model.code, config.model.mapping_layers) == (SIZE, 5, 2)
    assert (config.model.channel_base, config.model.max_width) == (48, 6)
    assert (model.title, model.head.name) == ("StyleGAN2, 16 px", "ffhq")
    assert model.variables.keys() == {"generator"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"convs.1.conv.weight": None}, "nothing for 'params/synthesis/conv_8/conv/kernel'"),
        ({"noises.noise_4": None}, "nothing for 'buffers/synthesis/noise_4'"),
        ({"convs.9.conv.weight": np.zeros((1, 3, 3, 3, 3), np.float32)}, r"no place for 'convs\.9\.conv\.weight'"),
        ({"noises.noise_1": np.zeros((1, 1, 4, 4), np.float32)}, r"'noises\.noise_1' of shape \(1, 1, 4, 4\)"),
        ({"convs.0.conv.blur.kernel": np.ones((4, 4), np.float32)}, "fixed tensor 'convs.0.conv.blur.kernel'"),
        ({"input.input": None}, "in none of the layouts of StyleGAN2's generator"),
        ({"input.input": np.zeros((6, 4, 4), np.float32)}, "no tensor 'input.input' of rank 4"),
        ({"style.1.weight": None, "style.2.weight": None}, "no tensors 'to_rgbs.N' and 'style.N'"),
    ],
)
def test_what_does_not_fit_is_named(state, change, sentence):
    changed = {name: tensor for name, tensor in (state | change).items() if tensor is not None}
    with pytest.raises(UserError, match=sentence):
        convert_generator(changed)
