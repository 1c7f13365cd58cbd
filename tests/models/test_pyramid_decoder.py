"""The light decoder: where its pixels lie, that it learns everywhere, and the size of the shipped parser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clu.parameter_overview import count_parameters

from configs import parser_small
from input_pipeline.errors import UserError
from l2s_jax import systems
from l2s_jax.layers.fir import bilinear_double
from l2s_jax.models.pyramid_decoder import PyramidDecoder
from tests.helpers import tiny_segface

CLASSES, WIDTHS = 3, (4, 6, 8)


def levels(seed: int = 0) -> list[jax.Array]:
    draws = np.random.default_rng(seed)
    return [jnp.asarray(draws.normal(size=(2, 64 // s, 32 // s, 5)), jnp.float32) for s in (4, 8, 16, 32)]


@pytest.fixture(scope="module")
def decoder():
    module = PyramidDecoder(CLASSES, WIDTHS)
    return module, jax.jit(lambda key: module.init(key, levels(), train=False))(jax.random.key(0))


def test_a_cell_becomes_four_pixels_in_reading_order_and_their_logits_are_interpolated(decoder):
    module, variables = decoder
    zeros = jax.tree.map(jnp.zeros_like, variables["params"])
    bias = jnp.arange(4 * CLASSES, dtype=jnp.float32)  # pixel p of a cell: classes 3 p, 3 p + 1, 3 p + 2
    params = zeros | {"classifier": zeros["classifier"] | {"bias": bias}}
    logits = jax.jit(lambda p: module.apply({**variables, "params": p}, levels(), train=False))(params)
    assert logits.shape == (2, 64, 32, CLASSES)
    cell = np.arange(4 * CLASSES, dtype=np.float32).reshape(1, 2, 2, CLASSES)
    np.testing.assert_allclose(logits, jax.jit(bilinear_double)(np.tile(cell, (2, 16, 8, 1))), atol=1e-6)


def test_every_parameter_learns_and_every_level_is_used(decoder):
    module, variables = decoder

    def loss(params, maps):
        logits, _ = module.apply({**variables, "params": params}, maps, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.square(logits - 1))

    slopes = jax.device_get(jax.jit(jax.grad(loss, argnums=(0, 1)))(variables["params"], levels()))
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(slopes))


def test_the_shipped_parser_keeps_to_the_challenges_size():
    system = systems.build(parser_small.get_config())
    state = jax.eval_shape(system.init, jax.random.key(0))
    assert count_parameters(state.params) == 1_650_124 < 1_821_085


def test_a_pyramid_has_three_widths():
    with pytest.raises(UserError, match=r"model.pyramid=\(4, 6\) needs three numbers"):
        systems.build(tiny_segface.config(model__pyramid=(4, 6)))
