"""`l2s train --dry-run`: print shapes, parameters, sharding, FLOPs and memory of a config, for any number of devices.

Everything comes from abstract evaluation: no parameter is allocated, so the largest config dry-runs on a laptop.
"""

from collections.abc import Mapping

import jax
from clu.parameter_overview import count_parameters
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from input_pipeline.errors import UserError, lookup
from l2s_jax import cost
from l2s_jax.commands import console
from l2s_jax.inference.model import load_model
from l2s_jax.peaks import ACCELERATORS
from l2s_jax.training import ahead, footprint
from l2s_jax.training.footprint import PARTS, Plan
from l2s_jax.types import unpacked

GIB = 2**30
_UNITS = ((1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"), (1e18, "E"), (1e21, "Z"))


def run(config: ConfigDict, devices: int | None, device: str | None = None, topology: str | None = None) -> int:
    """Print the cost of training `config` on identical devices.

    Args:
      config: of the training.
      devices: their number; None = those of the topology, or of this machine.
      device: a name in `peaks.ACCELERATORS`, into whose memory the training must fit; None = that of the topology.
      topology: a slice in `ahead.SLICES`, for which the steps are compiled; None = they are not.

    Raises:
      UserError: the batch or the sharding does not fit this number of devices, the training does not fit a device, or
        it cannot be compiled for the topology.
    """
    devices_ahead = ahead.devices(topology) if topology else []
    device = topology.partition("-")[0] if topology else device
    accelerator = lookup(ACCELERATORS, device, "device") if device else None
    plan = footprint.planned(config, len(devices_ahead) or devices or jax.device_count(), load_model)
    share, memory = cost.frequencies(plan.system, config.train.steps), plan.memory()

    screen = console.out()
    where, parts = f"{plan.devices} devices" if plan.devices > 1 else "1 device", config.train.accumulate
    together = f", {parts} batches ({parts * config.data.batch_size:,} examples) an update" if parts > 1 else ""
    what = f"{config.image_size} px, batch {config.data.batch_size} on {where}{together}"
    screen.print(f"[bold]{plan.system.name}[/], {what}\n")
    for part in (_shapes(plan), _networks(plan), _sharding(plan), _steps(plan, share), _memory(plan, memory)):
        screen.print(part)
        screen.print()
    _total(screen, plan, share)
    if accelerator is not None:
        _check_memory(screen, plan, device, accelerator.memory, sum(memory.values()))
    if topology:
        screen.print()
        screen.print(_compiled(topology, ahead.compiled(plan, devices_ahead)))
    return 0


def _check_memory(screen: Console, plan: Plan, device: str, memory: float, needed: int) -> None:
    """Say that the training fits a device, or raise a UserError that says what would."""
    if needed <= memory:
        screen.print(f"Fits {device}, which has {_size(memory)}.")
        return
    ways = " or ".join(footprint.remedies(plan, memory, load_model))
    raise UserError(
        f"this training needs about {_size(needed)} on each device and {device} has {_size(memory)}; "
        + (f"it would fit with {ways}" if ways else "neither fewer rows on a device nor parallel.fsdp is enough for it")
    )


def _shapes(plan: Plan) -> Table:
    grid = console.table("shapes on one device" if plan.devices > 1 else "shapes", "array", "shape", "dtype")
    system, arrays = plan.system, dict(plan.batch)
    variables, batch = jax.eval_shape(system.variables, plan.state), jax.eval_shape(unpacked, plan.batch)
    if system.predict is not None:
        prediction = jax.eval_shape(system.predict, variables, batch["image"], batch.get("landmarks"))
        arrays["logits"] = prediction.logits
    if system.codec is not None:
        code = jax.eval_shape(system.codec.encode, variables, batch["image"])
        arrays |= {"code.structure": code.structure, "code.style": code.style}
    for name, array in arrays.items():
        grid.add_row(name, " x ".join(map(str, array.shape)), array.dtype.name)
    return grid


def _networks(plan: Plan) -> Table:
    grid = console.table("parameters", "network", ">trained", ">statistics", ">in the exported model")
    parts = (plan.state.params, plan.state.stats, jax.eval_shape(plan.system.variables, plan.state))
    for name in {name: None for part in parts for name in part}:
        sizes = [count_parameters(part.get(name, {})) for part in parts]
        grid.add_row(name, *(f"{size:,}" if size else "-" for size in sizes))
    grid.add_row("[bold]all[/]", *(f"[bold]{count_parameters(part):,}[/]" for part in parts))
    return grid


def _sharding(plan: Plan) -> Table:
    grid = console.table("what is where", "part", "of", "placed", ">arrays", ">all together", ">on one device")
    for one in plan.placements:
        sizes = map(_size, (one.size, one.local))
        grid.add_row(PARTS[one.part], one.group, one.spec, f"{one.arrays:,}", *sizes)
    return grid


def _steps(plan: Plan, share: Mapping[str, float]) -> Table:
    several = plan.devices > 1
    columns = ["step", ">runs on", ">a call", *([">on one device"] if several else []), ">workspace a device"]
    grid = console.table("compiled steps", *columns)
    for name, one in plan.costs.items():
        flops = [one.flops * plan.devices, one.flops] if several else [one.flops]
        frequency = f"{console.percent(share[name])} of batches"
        grid.add_row(name, frequency, *map(_flops, flops), _size(one.workspace))
    return grid


def _memory(plan: Plan, memory: Mapping[str, int]) -> Table:
    grid = console.table("memory of one device" if plan.devices > 1 else "memory", "what", ">estimate")
    for name, size in memory.items():
        grid.add_row(name, _size(size))
    grid.add_row("[bold]together[/]", f"[bold]{_size(sum(memory.values()))}[/]")
    return grid


def _compiled(topology: str, steps: Mapping[str, ahead.Compiled]) -> Table:
    columns = "step", ">state and batch", ">temporary", ">together", ">compiled in"
    grid = console.table(f"compiled for {topology}, memory of one device", *columns)
    for name, one in steps.items():
        sizes = map(_size, (one.arguments, one.temporary, one.arguments + one.temporary))
        grid.add_row(name, *sizes, f"{one.seconds:.0f} s")
    return grid


def _total(screen: Console, plan: Plan, share: Mapping[str, float]) -> None:
    config, per_batch = plan.config, plan.devices * sum(one.flops * share[name] for name, one in plan.costs.items())
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


def _size(size: float) -> str:
    return f"{size / GIB:,.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"
