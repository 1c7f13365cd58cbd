"""Recognition networks: published sizes, any size, InsightFace's in NumPy; the published crop; refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.layers.adaptive_average import adaptive_average
from l2s_jax.models import recognition
from l2s_jax.systems.identity_encoder.config import published as published_identity
from l2s_jax.systems.identity_encoder.convert import convert_checkpoint
from l2s_jax.systems.landmark_regressor.config import published as published_landmarks
from tests.helpers import published_recognition as published
from tests.helpers.random_weights import random_variables


def abstract(network, side):
    """(outputs, number of parameters) by shape alone."""
    image = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    outputs, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), image)
    assert {leaf.dtype for leaf in jax.tree.leaves((outputs, variables))} == {jnp.dtype("float32")}
    return outputs.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def shapes_count(state):
    """Trained numbers of a published state dict."""
    return sum(a.size for name, a in state.items() if not name.endswith(("_mean", "_var", "_tracked")))


@pytest.mark.parametrize(
    ("name", "millions"),
    [("iresnet18", 24.02), ("iresnet34", 34.14), ("iresnet50", 43.59), ("iresnet100", 65.15), ("ir_se50", 43.80)],
)
def test_published_identity_encoders(name, millions):
    config = published_identity(configs.default("identity_encoder").unlock(), name)
    outputs, count = abstract(recognition.build_identity(config.model), config.image_size)
    assert outputs == (2, 512)
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


def test_published_landmark_regressor():
    config = published_landmarks(configs.default("landmark_regressor").unlock())
    assert abstract(recognition.build_landmarks(config.model), config.image_size) == ((2, 136), 1_007_248)


@pytest.mark.parametrize("name", ["tiny_iresnet", "tiny_ir_se", "tiny_mobilefacenet"])
def test_any_multiple_of_sixteen_and_any_precision(name):
    network = (recognition.IDENTITY | recognition.LANDMARKS)[name]
    (outputs, count), (again, larger) = (
        abstract(network(outputs=10, width=8, dtype=dtype), side)
        for side, dtype in ((16, jnp.bfloat16), (48, jnp.float32))
    )
    assert outputs == again == (2, 10)
    assert larger > count


def test_insightface_in_numpy():
    state = published.iresnet((1, 1, 1, 2), 8, 12, 2)
    config = configs.default("identity_encoder").unlock()
    head, side, variables = convert_checkpoint(state, config)
    assert (head, side, config.model.network) == ("iresnet", 32, "tiny_iresnet")
    network = recognition.build_identity(config.model)
    assert abstract(network, side)[1] == shapes_count(state) - 12  # the last scale is not trained
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
    expected = published.iresnet_embedding(state, image)
    run = jax.jit(lambda v, x: recognition.embed(network, v, x))
    found = run(variables, np.moveaxis(image, 1, -1))
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=2e-5)


def test_small_networks_are_called_alike():
    group = recognition.identity_config()
    group.width, group.outputs = 8, 6
    network = recognition.build_identity(group)
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)), jnp.float32)
    variables = random_variables(network, image)

    @jax.jit
    def run(variables, image):
        trained, updated = network.apply(variables, image, train=True, mutable=["batch_stats"])
        assert updated == {}
        return trained, network.apply(variables, image), recognition.embed(network, variables, image)

    trained, plain, embedding = run(variables, image)
    np.testing.assert_array_equal(trained, plain)
    np.testing.assert_allclose(embedding, trained / np.linalg.norm(trained, axis=1, keepdims=True), rtol=1e-5)


def average_by_hand(image, side):
    rows, columns = image.shape[1:3]
    out = np.empty((len(image), side, side, image.shape[-1]))
    for i in range(side):
        for j in range(side):
            down = slice(int(np.floor(i * rows / side)), int(np.ceil((i + 1) * rows / side)))
            across = slice(int(np.floor(j * columns / side)), int(np.ceil((j + 1) * columns / side)))
            out[:, i, j] = image[:, down, across].mean((1, 2))
    return out


@pytest.mark.parametrize(("shape", "side"), [((12, 12), 4), ((10, 13), 4), ((188, 188), 112), ((3, 5), 5)])
def test_adaptive_average(shape, side):
    image = np.random.default_rng(0).normal(size=(1, *shape, 2)).astype(np.float32)
    np.testing.assert_allclose(adaptive_average(jnp.asarray(image), side), average_by_hand(image, side), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "width", "side", "sentence"),
    [
        ("small", 32, 48, r"image_size=48 must be a power of two from 8 on: e\.network=small"),
        ("small", 32, 4, "image_size=4 must be a power of two"),
        ("small", 12, 64, r"e\.width=12 must be a multiple of 8 with e\.network=small"),
        ("ir_se50", 64, 100, r"image_size=100 must be a multiple of 16: e\.network=ir_se50"),
    ],
)
def test_sizes_that_do_not_fit_are_named(network, width, side, sentence):
    group = recognition.identity_config()
    group.network, group.width = network, width
    with pytest.raises(UserError, match=sentence):
        recognition.check(group, side, "e")
