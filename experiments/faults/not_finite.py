"""Numbers that are none: the images of a batch are NaN within the step."""

import re

import numpy as np

from experiments.faults.place import Place
from experiments.faults.training import EVERY, ROWS, check, ended

POISON = """
import dataclasses, sys
import jax.numpy as jnp
from l2s_jax import cli, systems

build = systems.build

def poisoned(config):
    system = build(config)
    def step(state, batch, *rest, **frozen):
        image = jnp.where(state.step == 10, jnp.nan, batch["image"])
        return system.steps["labels"](state, batch | {"image": image}, *rest, **frozen)
    return dataclasses.replace(system, steps={"labels": step})

systems.build = poisoned
sys.exit(cli.main())
"""


def not_finite(place: Place) -> str:
    """The images of batch 11 are NaN within the step: stopped, the batch saved, no such state in a checkpoint."""
    run = place.disturbed()
    _, sentence = ended(run.start(program=("-c", POISON)), 2)
    found = re.search(r"became nan at step 11; .*its batch is in (\S+)", sentence)
    check(found, sentence)
    with np.load(found[1], allow_pickle=False) as batch:
        check(len(batch["image"]) == ROWS, "the batch is not whole")
    check(run.newest() == 2 * EVERY, "the checkpoint before it is not the newest")
    run.finish(steps=3 * EVERY)
    return f"stopped, the batch is saved; mended, {place.compare(run)}"
