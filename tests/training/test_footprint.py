"""What a training holds on each device, against numbers computed by hand; nothing is allocated."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from input_pipeline.errors import UserError
from l2s_jax.training import footprint
from l2s_jax.training.footprint import Placement
from l2s_jax.types import TrainState
from tests.helpers import fake_system

BIG, SMALL = 256 * 128 * 4, 128 * 4  # bytes of the matrix and of the vector below


@pytest.fixture
def config(tmp_path):
    with fake_system.working_directory(tmp_path):
        yield fake_system.fake_config().unlock()


def a_state() -> TrainState:
    params = {"a": {"kernel": jnp.zeros((256, 128)), "bias": jnp.zeros(128)}, "b": {"kernel": jnp.zeros((128, 256))}}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=jax.random.key(0),
        params=params,
        stats={},
        ema={"a": params["a"]},
        opt_state={"own": optax.adam(1.0).init(params)},
    )


def planned(config, devices, **fields):
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return footprint.planned(config, devices, open_model=None)


def test_everything_is_placed_by_one_rule(config):
    plan = planned(config, 8, parallel__fsdp=4)
    idle = dataclasses.replace(plan.system, steps={"rest": lambda state, batch, axis: (state, {})})
    plan = dataclasses.replace(plan, state=jax.eval_shape(a_state), batch={}, system=idle)
    assert plan.placements == [
        Placement("params", "a", "replicated", 1, SMALL, SMALL),
        Placement("params", "a", "fsdp on axis 0", 1, BIG, BIG // 4),
        Placement("params", "b", "fsdp on axis 1", 1, BIG, BIG // 4),
        Placement("ema", "a", "replicated", 1, SMALL, SMALL),
        Placement("ema", "a", "fsdp on axis 0", 1, BIG, BIG // 4),
        Placement("opt_state", "own", "replicated", 3, 2 * SMALL + 4, 2 * SMALL + 4),  # with the count
        Placement("opt_state", "own", "fsdp on axis 0", 2, 2 * BIG, 2 * BIG // 4),
        Placement("opt_state", "own", "fsdp on axis 1", 2, 2 * BIG, 2 * BIG // 4),
    ]
    whole = 2 * BIG + SMALL
    assert plan.memory() == {
        "parameters": SMALL + 2 * BIG // 4,
        "statistics": 0,
        "running averages": SMALL + BIG // 4,
        "optimisers": 2 * (SMALL + 2 * BIG // 4) + 4,
        "gathered parameters": whole,
        "two batches": 0,
        "activations and gradients, at worst": 0,
    }


def test_the_modules_of_the_only_network(config):
    plan = planned(config, 1)
    assert {one.group for one in plan.placements if one.part == "params"} == {"parser/params"}
    assert {one.spec for one in plan.placements} == {"replicated"}


def test_every_remedy_helps_and_less_would_not(config):
    plan = planned(config, 2, data__batch_size=64, image_size=64)
    memory = sum(plan.memory().values())
    batches = plan.memory()["two batches"]
    ways = list(footprint.remedies(plan, memory - batches, None))
    assert ways == ["--config.data.batch_size=32 --config.train.accumulate=2", "--devices 4"]
    assert not list(footprint.remedies(plan, memory / 1000, None))


def test_numbers_that_do_not_fit(config):
    with pytest.raises(UserError, match=r"data.batch_size=16 and parallel.fsdp=1 do not fit 3 devices"):
        planned(config, 3)
