"""Backbones: published sizes, maps of any image size, training on one and on two devices."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.flatten_util import ravel_pytree
from jax.sharding import NamedSharding, PartitionSpec

from input_pipeline.errors import UserError
from l2s_jax.layers.dropout import DropPath
from l2s_jax.models.backbones import BACKBONES, build
from tests.helpers.random_weights import lively

# Published encoders without what follows the last map: of torchvision's model also the final norm (Swin: 2048 or 1536)
# and the classifier are gone.
PARAMETERS = {
    "swin_base": 86_741_176,
    "swinv2_base": 86_903_800,
    "swinv2_small": 48_966_906,
    "swinv2_tiny": 27_581_034,
    "convnext_base": 87_564_416,
    "convnext_small": 49_453_152,
    "convnext_tiny": 27_818_592,
    "mobilenet": 2_971_952,
    "efficientnet": 52_858_356,
    "resnet": 42_500_160,
    "mini": 2_341_840,
    "mini_small": 1_473_344,
    "tiny_swin": 79_570,
    "tiny_swinv2": 91_906,
    "tiny_convnext": 71_912,
    "tiny_mobilenet": 8_744,
    "tiny_efficientnet": 11_348,
    "tiny_resnet": 34_180,
    "tiny_mini": 33_776,
}
TINY = [name for name in BACKBONES if name.startswith("tiny_")]


def abstract(module, height, width):
    """(maps, variables) by shape alone."""
    images = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
    return jax.eval_shape(lambda key, x: module.init_with_output(key, x, train=False), jax.random.key(0), images)


@functools.cache
def traced(name):
    """(maps, variables) of 96 x 64 pixels, and the rates of all stochastic branches in the order of computation."""
    rates = []

    def record(call, args, kwargs, context):
        if isinstance(context.module, DropPath):
            rates.append(context.module.rate)
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        maps, variables = abstract(build(name), 96, 64)
    return maps, variables, rates


def test_every_backbone_has_its_published_size():
    assert set(PARAMETERS) == set(BACKBONES)


@pytest.mark.parametrize("name", BACKBONES)
def test_size_and_maps(name):
    maps, variables, _ = traced(name)
    channels = BACKBONES[name].channels
    assert [m.shape for m in maps] == [(2, 96 // s, 64 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)]
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == PARAMETERS[name]
    assert set(variables) <= {"params", "batch_stats"}


@pytest.mark.parametrize("name", TINY)
def test_odd_images_and_low_precision(name):
    """Convolutions pad and round up; patches drop what is over, but Swin's merging pads."""
    maps, variables = abstract(build(name, dtype=jnp.bfloat16), 75, 50)
    expected = {
        "tiny_swin": [(18, 12), (9, 6), (5, 3), (3, 2)],
        "tiny_swinv2": [(18, 12), (9, 6), (5, 3), (3, 2)],
        "tiny_convnext": [(18, 12), (9, 6), (4, 3), (2, 1)],
        "tiny_mini": [(18, 12), (9, 6), (4, 3), (2, 1)],
    }
    assert [m.shape[1:3] for m in maps] == expected.get(name, [(19, 13), (10, 7), (5, 4), (3, 2)])
    assert {m.dtype for m in maps} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_stochastic_depth_grows_to_the_published_rate():
    np.testing.assert_allclose(traced("swin_base")[2][::2], np.linspace(0, 0.5, 24))
    np.testing.assert_allclose(traced("convnext_small")[2], np.linspace(0, 0.4, 36))
    blocks = np.arange(57)
    without_identity = [3, 8, 13, 20, 34, 52]  # the first blocks of stages that change the shape
    expected = np.delete(0.2 * blocks / 57, without_identity)
    np.testing.assert_allclose(traced("efficientnet")[2], expected)
    assert BACKBONES["efficientnet"].stochastic_depth == pytest.approx(0.196, abs=5e-4)
    assert not any(traced("mobilenet")[2])


class Training:
    """A backbone with random weights and a jitted training pass over four small images."""

    def __init__(self, name):
        module = build(name, stochastic_depth=0.5)
        self.images = jnp.asarray(np.random.default_rng(0).normal(size=(4, 40, 36, 3)), jnp.float32)
        self.variables = lively(traced(name)[1])

        def loss(params, stats, images, key):
            variables = {"params": params, **stats}
            maps, stats = module.apply(variables, images, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
            return sum(jnp.mean(jnp.abs(m)) + jnp.mean(m) for m in maps), (maps, stats)

        self.step = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def __call__(self, images=None, key=0):
        stats = {name: value for name, value in self.variables.items() if name != "params"}
        images = self.images if images is None else images
        (_, (maps, stats)), gradient = self.step(self.variables["params"], stats, images, jax.random.key(key))
        return maps, stats, gradient


@pytest.fixture(scope="module")
def trainings():
    made = {}
    return lambda name: made.setdefault(name, Training(name))


@pytest.mark.parametrize(
    "name",
    # Of two with the same blocks one is enough every time.
    [pytest.param(n, marks=[pytest.mark.slow] * (n in ("tiny_swin", "tiny_efficientnet"))) for n in TINY],
)
def test_training(trainings, name):
    training = trainings(name)
    maps, stats, gradient = training()
    for path, leaf in flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all(), path
        assert np.any(leaf), f"{path} takes no part in the maps"
    for path, leaf in flatten_dict(stats).items():
        assert np.any(leaf != flatten_dict(training.variables)[path]), f"{path} did not move"
    jax.tree.map(np.testing.assert_array_equal, training()[0], maps)
    assert any(np.any(a != b) for a, b in zip(training(key=1)[0], maps, strict=True))  # other branches dropped


def test_two_devices_train_as_one(trainings):
    training = trainings("tiny_mobilenet")  # it has batch statistics and, here, stochastic depth
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = training(jax.device_put(training.images, NamedSharding(mesh, PartitionSpec("data"))))
    assert len(spread[0][0].sharding.device_set) == 2

    for one, two in zip(training(), spread, strict=True):
        # Whole vectors: some gradients (of a bias in front of another normalisation) are zero but for rounding.
        one, two = ravel_pytree(one)[0], ravel_pytree(jax.device_get(two))[0]
        assert np.linalg.norm(one - two) <= 1e-4 * np.linalg.norm(one)


def test_unknown_names_and_rates_are_refused():
    with pytest.raises(UserError, match="did you mean 'swin_base'"):
        build("swin_bass")
    with pytest.raises(UserError, match=r"stochastic depth 1\.0 must be a rate"):
        build("mobilenet", stochastic_depth=1.0)
