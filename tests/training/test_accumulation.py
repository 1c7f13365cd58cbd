"""`train.accumulate`: the mean gradient of N batches makes one update, the same that one batch of all rows makes."""

import io

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax import systems
from l2s_jax.training import loop, parallel
from tests.helpers import costs, tiny_recognition
from tests.helpers.steps import compiled, difference
from tests.helpers.toy_system import Batches, build, toy_config

ROWS, PARTS = 8, 2
RECIPE = {"optim__network__decay": "linear", "optim__network__clip_norm": 0.01, "optim__network__eps": 1e-3}


def trained(accumulate, steps):
    """States of the landmark regressor, whose loss is a mean over faces, before and after each of some batches."""
    config = tiny_recognition.config(
        "landmark_regressor", train__accumulate=accumulate, train__steps=2 * accumulate, **RECIPE
    )
    system, faces = systems.build(config), tiny_recognition.faces(2 * ROWS)
    rows, states = ROWS // accumulate, [system.init(jax.random.key(0))]
    for number in range(steps):
        batch = {name: np.roll(array, -number * rows, axis=0)[:rows] for name, array in faces.items()}
        state, _ = compiled(system.steps["train"])(states[-1], batch)
        states.append(state.replace(step=state.step + 1))
    return states


def test_batches_make_the_updates_of_a_batch_of_all_their_rows():
    large, small = trained(1, steps=2), trained(PARTS, steps=2 * PARTS + 1)
    assert difference(large[1].params, large[0].params) > 1e-3
    for update in (1, 2):  # with the decayed rate, clipped once
        after = small[update * PARTS]
        assert difference(after.params, large[update].params) < 1e-6
        assert difference(after.opt_state["network"].inner_opt_state, large[update].opt_state["network"]) < 1e-6
        assert difference(small[update * PARTS - 1].params, large[update - 1].params) < 1e-6
        # The average has moved on when the weights are about to change again.
        assert difference(small[update * PARTS + 1].ema, large[update].ema) < 1e-6
    assert difference(small[1].params, small[0].params) == 0


@pytest.mark.parametrize("case", costs.CONFIGS)
def test_every_optimiser_of_every_system_accumulates(case):
    changed = costs.CONFIGS[case](train__accumulate=3)
    state = jax.eval_shape(systems.build(changed).init, jax.random.key(0))
    assert state.opt_state
    assert all(isinstance(one, optax.MultiStepsState) for one in state.opt_state.values())


def test_what_is_accumulated_lies_like_the_parameters():
    mesh = parallel.make_mesh("jit", 2)
    state = parallel.abstract_state(build(toy_config(accumulate=2)).init, jax.random.key(0), mesh)
    for name, own in state.opt_state.items():
        places = [jax.tree.map(lambda leaf: leaf.sharding, tree) for tree in (own.acc_grads, state.params[name])]
        assert places[0] == places[1]
    assert not state.opt_state["auto"].acc_grads["encode"].sharding.is_fully_replicated


def test_a_run_goes_on_between_two_updates_to_the_bit(tmp_path):
    def run(folder, steps, accumulate=2):
        config = toy_config(steps=steps, save_every=1, accumulate=accumulate).unlock()
        config.parallel.fsdp = 2
        return loop.train(
            config,
            tmp_path / folder,
            system=build(config),
            batches=Batches(config),
            evaluate=lambda variables: {"score": 1.0},
            console=Console(file=io.StringIO()),
        ).state.replace(rng=())

    straight = run("straight", 7)
    parted = run("parted", 4)
    assert {name: int(own.mini_step) for name, own in parted.opt_state.items()} == {"auto": 0, "critic": 1}
    assert difference(run("parted", 7), straight) == 0
    with pytest.raises(UserError, match=r"was trained with train.accumulate=2 and this config says 3; use another"):
        run("parted", 9, accumulate=3)


def test_fewer_batches_than_an_update_takes_are_no_training():
    with pytest.raises(UserError, match=r"train.accumulate=8 batches make an update and train.steps=6 are too few"):
        configs.validate(toy_config(accumulate=8))
