"""What the programs of all systems cost, at the tiny sizes of tests: the golden file tests/data/costs.json.

    python -m tests.helpers.costs

writes it anew: only after a change that is meant to move these numbers, whose commit says why.
"""

import collections
import functools
import json
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # before JAX looks
    from tests.helpers import xla_flags

    xla_flags.set_up(devices=2)

import jax

from l2s_jax import cost, systems
from l2s_jax.bench.programs import batch, programs
from l2s_jax.types import GLOBAL_VIEW, unpacked
from tests.helpers import (
    tiny_detector,
    tiny_identity,
    tiny_l2s,
    tiny_recognition,
    tiny_segface,
    tiny_stylegan2,
    tiny_subspaces,
    tiny_svc,
)

GOLDEN = Path(__file__).parents[1] / "data" / "costs.json"
BANDED = ("fusions", "bytes")
"""Numbers of compiled programs: another version of XLA has others."""
ROWS = 4
NO_ADVERSARIES = {f"loss__{name}": 0.0 for name in ("gan_reconstruction", "gan_mix", "patch")}
CONFIGS = {
    "latents2segments": tiny_l2s.config,
    "independent_subspaces": tiny_subspaces.config,
    "segface": functools.partial(tiny_segface.config, model__backbone="tiny_mini", model__pyramid=(8, 8, 8)),
    "structure_via_consensus": tiny_svc.config,
    "stylegan2": tiny_stylegan2.config,
    "face_detector": tiny_detector.config,
    "identity_encoder": functools.partial(tiny_recognition.config, "identity_encoder"),
    "landmark_regressor": functools.partial(tiny_recognition.config, "landmark_regressor"),
    "id_disentanglement": functools.partial(tiny_identity.config, schedule__adversarial_every=0),
}
INFERENCE = {
    "latents2segments, published": functools.partial(
        tiny_l2s.published, schedule__discriminator_every=0, **NO_ADVERSARIES
    ),
    "segface, convnext": tiny_segface.config,
    "segface, mobilenet": functools.partial(tiny_segface.config, model__backbone="tiny_mobilenet"),
    "segface, swin": functools.partial(tiny_segface.config, model__backbone="tiny_swin"),
}
"""Variants whose training steps are not traced: that takes seconds each."""


def traces(case: str) -> Iterator[tuple[str, jax.stages.Traced]]:
    """Yield the training steps and the programs of inference of a system by name, traced."""
    config = (CONFIGS | INFERENCE)[case]()
    system = systems.build(config)
    state = jax.eval_shape(system.init, jax.random.key(0))
    arrays = unpacked(batch(system, ROWS, config.image_size, 0))
    for name, step in system.steps.items() if case in CONFIGS else ():
        yield f"step {name}", jax.jit(functools.partial(step, axis=GLOBAL_VIEW)).trace(state, arrays)
    variables = jax.eval_shape(system.variables, state)
    for program in programs(system, config.image_size):
        yield program.name, jax.jit(program.function).trace(variables, program.inputs(ROWS, 0))


def counted(traced: jax.stages.Traced) -> dict[str, float]:
    """Count in a trace what no version of XLA changes; dilated convolutions have zeros between their input's pixels."""
    jaxpr = traced.jaxpr.jaxpr
    kinds = collections.Counter(eqn.primitive.name for eqn in cost.equations(jaxpr))
    convolutions = [eqn for eqn in cost.equations(jaxpr) if eqn.primitive.name == "conv_general_dilated"]
    return {
        "flops": cost.product_flops(jaxpr),
        "convolutions": len(convolutions),
        "dilated": sum(max(eqn.params["lhs_dilation"]) > 1 for eqn in convolutions),
        "products": kinds["dot_general"],
    }


def compiled(traced: jax.stages.Traced) -> dict[str, int]:
    """Count what XLA makes of a trace: loops of fused operations, and the peak bytes of temporary arrays."""
    program = traced.lower().compile()
    return {"fusions": program.as_text().count(" fusion("), "bytes": program.memory_analysis().temp_size_in_bytes}


def costs(case: str) -> dict[str, dict[str, float]]:
    """Return all numbers of a system by program; training steps are only traced: compiling them takes minutes."""
    return {
        name: counted(traced) | ({} if name.startswith("step") else compiled(traced)) for name, traced in traces(case)
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({case: costs(case) for case in CONFIGS | INFERENCE}, indent=1) + "\n")
