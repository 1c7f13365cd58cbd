"""Batch normalisation against PyTorch's documented formulas, on one and on two devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from input_pipeline.errors import UserError
from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.training.parallel import _device_axis
from l2s_jax.types import GLOBAL_VIEW

DECAY, EPSILON = 0.99, 1e-3
NORM = BatchNorm(DECAY, EPSILON)


@pytest.fixture(scope="module")
def example():
    """(variables, x [2, 3, 2, 4]) with statistics that are neither 0 nor 1."""
    stream = np.random.default_rng(0)
    draw = lambda low: jnp.asarray(stream.uniform(low, low + 1, 4), jnp.float32)  # noqa: E731
    variables = {"params": {"scale": draw(1), "bias": draw(0)}, "batch_stats": {"mean": draw(-1), "var": draw(2)}}
    return variables, jnp.asarray(stream.normal(1, 3, (2, 3, 2, 4)), jnp.float32)


@jax.jit
def train(variables, x):
    return NORM.apply(variables, x, train=True, mutable=["batch_stats"])


def test_training_normalises_with_the_biased_variance_and_keeps_the_unbiased_one(example):
    variables, x = example
    y, moved = train(variables, x)
    flat = np.asarray(x, np.float64).reshape(-1, 4)
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + EPSILON)
    expected = expected * np.asarray(variables["params"]["scale"]) + np.asarray(variables["params"]["bias"])
    np.testing.assert_allclose(np.asarray(y).reshape(-1, 4), expected, atol=1e-5)
    old = {name: np.asarray(value, np.float64) for name, value in variables["batch_stats"].items()}
    running = {"mean": flat.mean(0), "var": flat.var(0, ddof=1)}
    for name, value in running.items():
        expected = DECAY * old[name] + (1 - DECAY) * value
        np.testing.assert_allclose(moved["batch_stats"][name], expected, rtol=1e-6)
    assert np.all(running["var"] / flat.var(0) > 1.05)  # biased and unbiased are far apart here


def test_inference_uses_the_running_statistics_and_leaves_them(example):
    variables, x = example
    y, moved = NORM.apply(variables, x, train=False, mutable=["batch_stats"])
    stats, params = (jax.tree.map(np.asarray, variables[name]) for name in ("batch_stats", "params"))
    expected = (np.asarray(x) - stats["mean"]) / np.sqrt(stats["var"] + EPSILON) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, moved["batch_stats"], stats)


def test_two_devices_share_their_statistics(example):
    variables, x = example
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    assert len(spread.sharding.device_set) == 2
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), train(variables, spread), train(variables, x)
    )


def test_large_means_do_not_swallow_the_variance():
    x = 1e4 + jnp.asarray(np.random.default_rng(1).normal(size=(4, 4, 4, 1)), jnp.float32)
    variables = NORM.init(jax.random.key(0), x, train=False)
    y, _ = train(variables, x)
    assert np.std(y) == pytest.approx(1, abs=0.01)


def test_initialisation_leaves_the_statistics_fresh(example):
    stats = NORM.init(jax.random.key(0), example[1], train=True)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], np.zeros(4))
    np.testing.assert_array_equal(stats["var"], np.ones(4))


def test_a_single_value_has_no_variance(example):
    with pytest.raises(UserError, match="larger batch"):
        NORM.apply(example[0], jnp.ones((1, 1, 1, 4)), train=True, mutable=["batch_stats"])


def test_vectors_and_a_fixed_scale(example):
    variables, x = example
    rows = x.reshape(-1, 4)
    flat, _ = train(variables, rows)
    np.testing.assert_allclose(flat, train(variables, x)[0].reshape(-1, 4), atol=1e-6)
    plain = BatchNorm(DECAY, EPSILON, use_scale=False)
    assert set(plain.init(jax.random.key(0), rows, train=False)["params"]) == {"bias"}
    bare = {**variables, "params": {"bias": variables["params"]["bias"]}}
    ones = {**variables, "params": variables["params"] | {"scale": jnp.ones(4)}}
    found, expected = (
        norm.apply(given, rows, train=True, mutable=["batch_stats"]) for norm, given in ((plain, bare), (NORM, ones))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_axis_joins_the_rows_of_all_devices(example):
    """Normalised rows, running statistics and gradients, of a loss in which every row depends on all."""
    variables, x = example
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    target = jnp.asarray(np.random.default_rng(2).normal(size=x.shape), jnp.float32)

    def step(params, x, target, axis):
        def loss(params):
            given = {**variables, "params": params["norm"]}
            y, moved = NORM.apply(given, jnp.tanh(params["factor"] * x), train=True, axis=axis, mutable=["batch_stats"])
            return axis.psum(jnp.sum(jnp.tanh(y) * target)), (y, moved)

        (value, (y, moved)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, y, moved, axis.pmean(gradient)

    params = {"norm": variables["params"], "factor": jnp.linspace(0.5, 2.0, 4)[None, None, None]}
    own, rows = PartitionSpec(), PartitionSpec("data")
    split = jax.shard_map(
        lambda *arrays: step(*arrays, _device_axis("data")),
        mesh=mesh,
        in_specs=(own, rows, rows),
        out_specs=(own, rows, own, own),
        check_vma=False,
    )
    expected = jax.jit(lambda *arrays: step(*arrays, GLOBAL_VIEW))(params, x, target)
    assert float(jnp.abs(expected[-1]["factor"]).max()) > 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), jax.jit(split)(params, x, target), expected)
