"""Blocks computed again in the backward pass: the same names, numbers and gradients, in less memory."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax import config as configs
from l2s_jax import cost
from l2s_jax.layers.remat import block, rematerialised
from l2s_jax.models import backbones
from l2s_jax.models.slice_decoder import SliceDecoder
from l2s_jax.training import footprint
from tests.helpers.draws import normal


class Layer(nn.Module):
    @block
    @nn.compact
    def __call__(self, x, *, train):
        noise = jax.random.normal(self.make_rng("noise"), x.shape) if train else 0.0
        for _ in range(4):
            x = jnp.sin(nn.Dense(64)(x) + noise)
        return x


class Chain(nn.Module):
    depth: int = 6

    @nn.compact
    def __call__(self, x, *, train):
        for _ in range(self.depth):
            x = Layer()(x, train=train)
        return x


def chain_loss(variables, x):
    return (Chain().apply(variables, x, train=True, rngs={"noise": jax.random.key(2)}) ** 2).mean()


def backbone_loss(network, variables, x):
    params, stats = variables["params"], {k: v for k, v in variables.items() if k != "params"}

    def loss(params):
        rngs = {"dropout": jax.random.key(3)}
        maps, moved = network.apply({"params": params, **stats}, x, train=True, rngs=rngs, mutable=["batch_stats"])
        return sum(jnp.sum(jnp.sin(x)) for x in maps), moved

    return jax.value_and_grad(loss, has_aux=True)(params)


def decoder_loss(variables, structure, style):
    def loss(variables):
        colours, logits = SliceDecoder(8, 2).apply(variables, structure, style)
        return jnp.sum(jnp.sin(colours)) + jnp.sum(jnp.sin(logits))

    return jax.value_and_grad(loss)(variables)


def both(function, *inputs):
    """Compare the results of a function with and without remat; return its trace and that with remat."""
    traces = [jax.jit(one).trace(*inputs) for one in (function, rematerialised(function))]
    plain, again = (jax.tree.leaves(jax.device_get(traced.lower().compile()(*inputs))) for traced in traces)
    for left, right in zip(plain, again, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6 * max(1.0, float(np.abs(left).max())))
    return traces


def test_gradients_are_the_same_in_less_memory():
    x = normal(0, 512, 64)
    variables = jax.jit(functools.partial(Chain().init, train=False))(jax.random.key(1), x)
    traces = both(jax.grad(chain_loss), variables, x)
    # (What XLA compiles for CPUs takes as much as before: it merges what is computed twice.)
    kept, again = (cost.workspace(traced.jaxpr.jaxpr) for traced in traces)
    assert again < 0.6 * kept
    once, twice = (cost.product_flops(traced.jaxpr.jaxpr) for traced in traces)
    assert 1.3 * once < twice < 1.35 * once  # four passes for three; x has no gradient


@pytest.mark.parametrize("name", ["tiny_mobilenet", pytest.param("tiny_swin", marks=pytest.mark.slow)])
def test_backbones_with_what_is_drawn_and_what_is_counted(name):
    network = backbones.build(name, stochastic_depth=0.5)
    x = normal(0, 2, 64, 64, 3)
    variables = jax.jit(functools.partial(network.init, train=False))(jax.random.key(1), x)
    traces = both(functools.partial(backbone_loss, network), variables, x)
    kept, again = (cost.workspace(traced.jaxpr.jaxpr) for traced in traces)
    assert again < kept


def test_a_method_with_words_among_its_arguments():
    structure, style = jnp.linspace(-1, 1, 3 * 8 * 8 * 4).reshape(1, 3, 8, 8, 4), jnp.ones((1, 3, 5))
    variables = jax.jit(SliceDecoder(8, 2).init)(jax.random.key(1), structure, style)
    both(decoder_loss, variables, structure, style)


def test_parameters_have_the_same_names():
    x = jnp.zeros((1, 64, 64, 3))
    names = [
        jax.tree.map(jnp.shape, jax.eval_shape(init, jax.random.key(0), x))
        for network in (backbones.build("tiny_swin"),)
        for init in (
            functools.partial(network.init, train=False),
            rematerialised(functools.partial(network.init, train=False)),
        )
    ]
    assert names[0] == names[1]


def test_a_config_asks_for_it():
    config = configs.load("segface_mini", ("image_size=64", "data.batch_size=8", "data.resolution_schedule=[]"))
    plans = {}
    for choice in ("none", "blocks"):
        changed = config.copy_and_resolve_references().unlock()
        changed.train.remat = choice
        plans[choice] = footprint.planned(changed, 1, open_model=None)
    kept, again = (cost.workspace(plan.traces["train"].jaxpr.jaxpr) for plan in plans.values())
    assert again < kept
    assert jax.tree.structure(plans["none"].state) == jax.tree.structure(plans["blocks"].state)
