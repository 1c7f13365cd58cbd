"""Compile the steps of a training ahead of time, for TPUs that are not there. Only the TPU wheel of JAX is needed."""

import os
import time
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import topologies

from input_pipeline.errors import UserError, clipped, lookup, require
from l2s_jax import cost
from l2s_jax.training import parallel
from l2s_jax.training.footprint import Plan

SLICES = {
    "v5e-4": "v5e:2x2",
    "v5e-8": "v5e:2x4",
    "v5e-16": "v5e:4x4",
    "v5e-32": "v5e:4x8",
    "v5e-64": "v5e:8x8",
    "v5e-128": "v5e:8x16",
    "v5e-256": "v5e:16x16",
    "v5p-8": "v5p:2x2x1",
    "v5p-16": "v5p:2x2x2",
    "v5p-32": "v5p:2x2x4",
    "v5p-64": "v5p:2x4x4",
    "v5p-128": "v5p:4x4x4",
    "v5p-256": "v5p:4x4x8",
    "v5p-512": "v5p:4x8x8",
    "v6e-4": "v6e:2x2",
    "v6e-8": "v6e:2x4",
    "v6e-16": "v6e:4x4",
    "v6e-32": "v6e:4x8",
    "v6e-64": "v6e:8x8",
    "v6e-128": "v6e:8x16",
    "v6e-256": "v6e:16x16",
}
"""Slices as Google names them (v5p counts cores, two of a chip) and as the compiler does: the chips on each axis."""


class Compiled(NamedTuple):
    """A compiled step, as the compiler lays it out on one device.

    Attributes:
      arguments: bytes of the state and the batch.
      temporary: bytes beyond these while it runs.
      seconds: time of tracing and compiling.
    """

    arguments: int
    temporary: int
    seconds: float


def devices(name: str) -> list[jax.Device]:
    """Return the devices of a slice, for compiling alone.

    Raises:
      UserError: no such slice, or a JAX without its TPU wheel.
    """
    topology = lookup(SLICES, name, "TPU slice")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # which is asked about the TPUs of this machine
    try:
        return topologies.get_topology_desc(topology, "tpu").devices
    except RuntimeError as error:
        raise UserError(
            f"compiling for {name} needs JAX's TPU wheel, though no TPU (pip install 'l2s_jax[tpu]'): "
            + clipped(error, 60)
        ) from error


def compiled(plan: Plan, slice_devices: list[jax.Device]) -> dict[str, Compiled]:
    """Compile every step of a plan for devices that need not be there.

    Raises:
      UserError: parallel.mode=pmap, or a step that does not fit into the devices' memory.
    """
    mode = plan.config.parallel.mode
    require(mode != "pmap", "parallel.mode=pmap cannot be compiled ahead of time; choose jit or shard_map")
    mesh = parallel.make_mesh(mode, plan.config.parallel.fsdp, slice_devices)
    state = parallel.abstract_state(plan.system.init, jax.random.key(0), mesh)
    batch = cost.abstract_batch(plan.system, plan.config.data.batch_size, plan.config.image_size)
    frozen, batch = parallel.abstract_inputs(dict(plan.frozen), batch, mesh)
    found = {}
    for name, step in plan.system.steps.items():
        began, program = time.perf_counter(), parallel.data_parallel(step, mesh, mode, frozen).program
        try:
            memory = program.lower(frozen, state, batch, np.int32(1)).compile().memory_analysis()
        except jax.errors.JaxRuntimeError as error:
            raise UserError(f"the compiler refuses step {name} on these devices: {clipped(error, 300)}") from error
        seconds = time.perf_counter() - began
        found[name] = Compiled(memory.argument_size_in_bytes, memory.temp_size_in_bytes, seconds)
    return found
