"""`l2s train --dry-run`: print shapes, parameters, FLOPs and memory of a config, for any number of devices.

Everything comes from abstract evaluation: no parameter is allocated, so the largest config dry-runs on a laptop.
"""

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import AbstractMesh
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from input_pipeline.errors import UserError
from l2s_jax import cost, systems
from l2s_jax.commands import console
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW, PyTree, System, TrainState

GIB = 2**30
_UNITS = ((1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"), (1e18, "E"), (1e21, "Z"))


def run(config: ConfigDict, devices: int) -> int:
    """Print the cost of training `config` on `devices` identical devices.

    Raises:
      UserError: the batch or the sharding does not fit this number of devices.
    """
    rows, fsdp = config.data.batch_size // devices, config.parallel.fsdp
    if rows * devices != config.data.batch_size or devices % fsdp:
        raise UserError(
            f"data.batch_size={config.data.batch_size} and parallel.fsdp={fsdp} do not fit {devices} devices; "
            "choose divisors and multiples of one another"
        )
    system = systems.build(config)
    state = jax.eval_shape(system.init, jax.random.key(0))
    batch = cost.abstract_batch(system, rows, config.image_size)
    frozen = frozen_arguments(system)
    costs = {name: _step_cost(step, state, batch, frozen) for name, step in system.steps.items()}
    share = cost.frequencies(system, config.train.steps)
    held = sharded_bytes(state, devices, fsdp)
    if frozen:
        held["frozen"] = cost.size_bytes(frozen)  # an upper bound: unsharded

    screen = console.out()
    where = f"{devices} devices" if devices > 1 else "1 device"
    screen.print(f"[bold]{system.name}[/], {config.image_size} px, batch {config.data.batch_size} on {where}\n")
    for part in (
        _shapes(system, state, batch, devices),
        _networks(system, state),
        _steps(costs, share, devices),
        _memory(held, batch, costs, devices),
    ):
        screen.print(part)
        screen.print()
    _total(screen, costs, share, config, devices)
    return 0


def sharded_bytes(state: TrainState, devices: int, fsdp: int) -> dict[str, int]:
    """Return the bytes of each part of the state on ONE device, by the rule of training/parallel.py."""
    mesh = AbstractMesh((devices // fsdp, fsdp), parallel.BATCH_AXES)

    def on_one_device(tree: PyTree) -> int:
        shards = jax.tree.map(lambda x, s: s.shard_shape(x.shape), tree, parallel.state_shardings(tree, mesh))
        sizes = jax.tree.map(lambda x, shape: int(np.prod(shape)) * x.dtype.itemsize, tree, shards)
        return sum(jax.tree.leaves(sizes))

    return {name: on_one_device(getattr(state, name)) for name in ("params", "stats", "ema", "opt_state")}


def _step_cost(step, state: TrainState, batch: Mapping, frozen: Mapping[str, PyTree]) -> cost.Cost:
    return cost.estimate(lambda state, batch, frozen: step(state, batch, GLOBAL_VIEW, **frozen), state, batch, frozen)


def _shapes(system: System, state: TrainState, batch: Mapping, devices: int) -> Table:
    grid = console.table("shapes on one device" if devices > 1 else "shapes", "array", "shape", "dtype")
    variables = jax.eval_shape(system.variables, state)
    arrays = dict(batch)
    if system.predict is not None:
        prediction = jax.eval_shape(system.predict, variables, batch["image"], batch.get("landmarks"))
        arrays["logits"] = prediction.logits
    if system.codec is not None:
        code = jax.eval_shape(system.codec.encode, variables, batch["image"])
        arrays |= {"code.structure": code.structure, "code.style": code.style}
    for name, array in arrays.items():
        grid.add_row(name, " x ".join(map(str, array.shape)), array.dtype.name)
    return grid


def _networks(system: System, state: TrainState) -> Table:
    grid = console.table("parameters", "network", ">trained", ">statistics", ">in the exported model")
    parts = (state.params, state.stats, jax.eval_shape(system.variables, state))
    for name in {name: None for part in parts for name in part}:
        sizes = [cost.parameters(part.get(name, {})) for part in parts]
        grid.add_row(name, *(f"{size:,}" if size else "-" for size in sizes))
    grid.add_row("[bold]all[/]", *(f"[bold]{cost.parameters(part):,}[/]" for part in parts))
    return grid


def _steps(costs: Mapping[str, cost.Cost], share: Mapping[str, float], devices: int) -> Table:
    columns = ["step", ">runs on", ">a call", *([">on one device"] if devices > 1 else []), ">workspace a device"]
    grid = console.table("compiled steps", *columns)
    for name, one in costs.items():
        flops = [one.flops * devices, one.flops] if devices > 1 else [one.flops]
        frequency = f"{console.percent(share[name])} of batches"
        grid.add_row(name, frequency, *map(_flops, flops), _size(one.workspace))
    return grid


def _memory(held: Mapping[str, int], batch: Mapping, costs: Mapping[str, cost.Cost], devices: int) -> Table:
    grid = console.table("memory of one device" if devices > 1 else "memory", "what", ">estimate")
    titles = {"params": "parameters", "stats": "statistics", "ema": "running averages", "opt_state": "optimisers"}
    titles["frozen"] = "frozen arguments"
    parts = {titles[name]: size for name, size in held.items()}
    parts["two batches"] = 2 * cost.size_bytes(batch)
    parts["activations and gradients, at worst"] = max(one.workspace for one in costs.values())
    for name, size in parts.items():
        grid.add_row(name, _size(size))
    grid.add_row("[bold]together[/]", f"[bold]{_size(sum(parts.values()))}[/]")
    return grid


def _total(screen: Console, costs: Mapping[str, cost.Cost], share: Mapping, config: ConfigDict, devices: int) -> None:
    per_batch = devices * sum(one.flops * share[name] for name, one in costs.items())
    screen.print(
        f"{_flops(per_batch)} a batch on average, {_flops(per_batch / config.data.batch_size)} an image, "
        f"{_flops(per_batch * config.train.steps)} for {config.train.steps:,} batches."
    )
    screen.print(
        "[dim]FLOPs as XLA counts them before optimisation. Memory from the live arrays of the traced program: "
        "an estimate, usually above what the compiled one takes.[/]"
    )


def _flops(count: float) -> str:
    """Format with three digits: `1.71e11` -> `171 GFLOP`."""
    unit = next((unit for unit in _UNITS if count < 1000 * unit[0]), _UNITS[-1])
    return f"{count / unit[0]:.3g} {unit[1]}FLOP"


def _size(size: int) -> str:
    return f"{size / GIB:,.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"
