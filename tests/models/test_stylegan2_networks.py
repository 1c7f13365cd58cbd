"""The networks of StyleGAN2: codes reach their layers, every layer and image has its own noise, sizes, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.models.stylegan2 import config as networks
from l2s_jax.models.stylegan2.generator import Generator
from l2s_jax.models.stylegan2.mapping import Mapping
from l2s_jax.models.stylegan2.synthesis import Synthesis
from tests.helpers import numpy_stylegan2
from tests.helpers.draws import normal
from tests.helpers.random_weights import random_variables

CODE, SIZE, ROWS = 5, 16, 3
LAYERS = 6


@pytest.fixture(scope="module")
def generator():
    """At 16 px, with a jitted `apply` for words and one for keys, and weights that make every part heard."""
    module = Generator(Mapping(CODE, 2), Synthesis(SIZE, channel_base=48, max_width=6))
    variables = random_variables(module, jnp.zeros((1, CODE)))
    mapping = jax.tree.map(lambda x: 100 * x, variables["params"]["mapping"])
    variables["params"]["mapping"] = mapping
    return module, variables, jax.jit(module.apply, static_argnames=("method", "noise"))


@pytest.fixture(scope="module")
def noisy(generator, codes):
    """(codes, keys) -> images with fresh noise."""
    module, variables, _ = generator
    return jax.jit(lambda w, keys: module.apply(variables, w, keys, method="images"))


@pytest.fixture(scope="module")
def codes(generator):
    _, variables, apply = generator
    return apply(variables, normal(0, ROWS, CODE), method="codes")


def images(generator, w, **options):
    _, variables, apply = generator
    return np.asarray(apply(variables, w, method="images", **options))


@pytest.fixture(scope="module")
def plain(generator, codes):
    return images(generator, codes)


def test_mapping_ignores_the_length_of_z(generator, codes):
    _, variables, apply = generator
    z = normal(0, ROWS, CODE)
    np.testing.assert_allclose(apply(variables, 5 * z, method="codes"), codes, rtol=1e-4, atol=1e-5)
    assert codes.dtype == jnp.float32


def test_a_new_mapping_does_not_depend_on_its_learning_rate():
    z = normal(1, 4, 8)
    slow, fast = (jax.jit(Mapping(8, 3, lr_mul=lr).init_with_output)(jax.random.key(0), z)[0] for lr in (0.01, 1.0))
    np.testing.assert_allclose(slow, fast, rtol=1e-4)


def test_one_code_is_that_of_all_layers(generator, codes, plain):
    assert generator[0].synthesis.layers == LAYERS
    assert plain.shape == (ROWS, SIZE, SIZE, 3)
    everywhere = images(generator, jnp.repeat(codes[:, None], LAYERS, axis=1))
    np.testing.assert_allclose(everywhere, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", range(LAYERS))
def test_every_layer_has_its_own_code(generator, codes, plain, layer):
    """The last layer only colours; a layer of the first resolutions changes every pixel."""
    w = jnp.repeat(codes[:, None], LAYERS, axis=1)
    changed = images(generator, w.at[1, layer].add(1.0))
    np.testing.assert_allclose(changed[[0, 2]], plain[[0, 2]], rtol=1e-5, atol=1e-5)
    assert np.abs(changed[1] - plain[1]).max() > 1e-2


def test_truncation_is_a_way_to_the_mean_code(generator, codes):
    module, variables, apply = generator
    w_avg = variables["buffers"]["w_avg"][None]
    half = apply(variables, codes, 0.5, method="truncated")
    np.testing.assert_allclose(half, (codes + w_avg) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(apply(variables, codes, 1.0, method="truncated"), codes, rtol=1e-4, atol=1e-5)
    mean = jax.jit(module.apply)(variables, jnp.ones((2, CODE)), 0.0)
    np.testing.assert_allclose(mean, np.repeat(images(generator, w_avg), 2, axis=0), rtol=1e-4, atol=1e-4)


def test_noise_follows_its_mode_and_its_key(generator, noisy, codes, plain):
    keys = jax.random.split(jax.random.key(3), ROWS)
    fresh, again = noisy(codes, keys), noisy(codes, keys)
    none = images(generator, codes, noise="none")
    np.testing.assert_array_equal(fresh, again)
    assert all(np.abs(a - b).max() > 1e-2 for a, b in ((fresh, plain), (fresh, none), (none, plain)))
    # An image has the noise of its own key, wherever it stands.
    turned = noisy(codes[::-1], keys[::-1])
    np.testing.assert_allclose(turned[::-1], fresh, rtol=1e-5, atol=1e-5)


def test_no_two_layers_and_images_share_noise():
    """What a layer adds is read off where nothing else is left: other weights 0, and the strength of one layer 1."""
    module = Synthesis(8, channel_base=8, max_width=1)
    variables = jax.tree.map(jnp.zeros_like, random_variables(module, jnp.zeros((1, CODE))))
    variables["params"] |= {
        name: layer | {"bias": layer["bias"] + 1}
        for name, layer in variables["params"].items()
        if name.startswith("rgb")
    }
    planes, apply = {}, jax.jit(module.apply)
    for name, rgb in (("up_8", "rgb_8"), ("conv_8", "rgb_8")):
        params = dict(variables["params"])
        params[name] = params[name] | {"noise_strength": jnp.float32(1)}
        if name == "up_8":  # its output passes through the middle pixel of the next kernel
            kernel = np.float32(np.arange(9) == 4).reshape(3, 3, 1, 1)
            conv = params["conv_8"]["conv"]
            affine = conv["affine"] | {"bias": jnp.ones(1)}
            params["conv_8"] = params["conv_8"] | {"conv": conv | {"kernel": kernel, "affine": affine}}
        conv = params[rgb]["conv"]
        affine = conv["affine"] | {"bias": jnp.ones(1)}
        params[rgb] = params[rgb] | {"conv": conv | {"kernel": jnp.ones((1, 1, 1, 3)), "affine": affine}}
        keys = jax.random.split(jax.random.key(0), 2)
        image = apply(variables | {"params": params}, jnp.zeros((2, CODE)), keys)
        planes[name] = np.asarray(image[..., 0]).reshape(2, -1)
    rows = np.concatenate(list(planes.values()))
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.all(rows.std(axis=1) > 0.1)
    assert np.abs(correlation).max() < 0.5


def test_other_keys_initialise_other_weights_and_other_stored_noise():
    module = Generator(Mapping(CODE, 2), Synthesis(8, channel_base=32, max_width=4))
    init = jax.jit(module.init)
    first, again, other = (init(jax.random.key(seed), jnp.zeros((1, CODE))) for seed in (0, 0, 1))
    for path, leaf in jax.tree_util.tree_leaves_with_path(first):
        assert np.array_equal(leaf, _at(again, path))
        drawn = any(word in jax.tree_util.keystr(path) for word in ("kernel", "const", "noise_0", "noise_1", "noise_2"))
        assert np.array_equal(leaf, _at(other, path)) is not drawn
    stored = first["buffers"]["synthesis"]
    assert not np.array_equal(stored["noise_1"], stored["noise_2"])


def _at(tree, path):
    for key in path:
        tree = tree[key.key]
    return tree


def test_bfloat16_makes_about_the_same_image_in_float32(generator, codes, plain):
    module, variables, _ = generator
    rounded = Generator(module.mapping, module.synthesis.clone(dtype=jnp.bfloat16))
    image = jax.jit(rounded.apply, static_argnames="method")(variables, codes, method="images")
    assert image.dtype == jnp.float32
    error = np.linalg.norm(image - plain) / np.linalg.norm(plain)
    assert 1e-4 < error < 3e-2


@pytest.mark.parametrize("lowering", ["direct", "folded"])
def test_lowerings_make_the_same_image(generator, codes, plain, lowering):
    module, variables, _ = generator
    other = Generator(module.mapping, module.synthesis.clone(lowering=lowering))
    image = jax.jit(other.apply, static_argnames="method")(variables, codes, method="images")
    np.testing.assert_allclose(image, plain, rtol=1e-4, atol=1e-4)


def test_the_mapping_is_that_of_its_definition(generator, codes):
    params = generator[1]["params"]["mapping"]
    state = {f"style.{i + 1}.weight": np.asarray(params[f"dense_{i}"]["kernel"]).T for i in range(2)}
    state |= {f"style.{i + 1}.bias": np.asarray(params[f"dense_{i}"]["bias"]) for i in range(2)}
    z = normal(0, ROWS, CODE).astype(np.float64)
    np.testing.assert_allclose(codes, numpy_stylegan2.mapping(state, z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [4, 24])
def test_sizes_without_a_network(size):
    with pytest.raises(ValueError, match="power of two"):
        jax.eval_shape(Synthesis(size).init, jax.random.key(0), jnp.zeros((1, CODE)))
    with pytest.raises(UserError, match=f"image_size={size} must be a power of two from 8"):
        networks.generator(networks.default_config(), size, jnp.float32)


def test_codes_of_another_number_of_layers(generator, codes):
    with pytest.raises(ValueError, match="codes of 4 layers for an image of 16 px, which has 6"):
        images(generator, jnp.repeat(codes[:, None], 4, axis=1))


def test_published_numbers_of_parameters():
    model = networks.default_config()
    model.code, model.mapping_layers = 512, 8
    model.channel_base, model.max_width = 32768, 512
    network = networks.generator(model, 64, jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 512)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 27_032_600
