"""What should a training step cost on accelerators that are not here? The tables of docs/scaling.md.

    python experiments/scaling.py

Every number follows from traced programs (nothing is allocated or compiled), data sheets (l2s_jax/peaks.py), one rate
measured on CPUs (docs/feeding.md) and the assumptions below; docs/scaling.md has the formula.
"""

import math
import sys
from typing import NamedTuple

from l2s_jax import config as configs
from l2s_jax import cost
from l2s_jax.inference.model import load_model
from l2s_jax.peaks import ACCELERATORS, Accelerator
from l2s_jax.training import footprint

MODELS = {"Latents2Segments": "l2s_512x8", "SegFace, Swin-B": "segface_celebamask_hq"}
"""Configs at 512 px."""
ROWS = 4
"""Faces on each device: both configs have 32 on eight."""
REACHED = 0.5
"""Share of each stated rate (arithmetic, memory, links) that programs reach. Assumed."""
IMAGES_PER_CORE = 77.0
"""Augmented training images of 512 px that a core makes in a second: measured, docs/feeding.md."""
DTYPE = "bfloat16"
FACE_BYTES = 120e3
"""Size of a face in files or records, docs/feeding.md."""


class Machine(NamedTuple):
    """Devices with the same links between any two.

    Attributes:
      name: as people call it.
      kind: key of `ACCELERATORS`.
      devices: as JAX counts them.
      hosts: processes that load data.
      cores: virtual cores of a host as it is rented.
    """

    name: str
    kind: str
    devices: int
    hosts: int
    cores: int


MACHINES = (
    Machine("1 H100", "h100", 1, 1, 26),
    Machine("8 H100", "h100", 8, 1, 208),
    Machine("1 H200", "h200", 1, 1, 28),
    Machine("8 H200", "h200", 8, 1, 224),
    Machine("v5e-8", "v5e", 8, 1, 224),
    Machine("v5p-256", "v5p", 128, 32, 208),
)


class Work(NamedTuple):
    """What a batch takes of one device, on average over the schedule.

    Attributes:
      products: its convolutions and matrix products.
      moved: bytes of the state that are read and written beside them.
      reduced: bytes of the gradients that the devices sum.
    """

    products: list[cost.Product]
    moved: float
    reduced: float


class Time(NamedTuple):
    """Seconds of a batch: of its computation, of summing the gradients, and the model FLOP utilisation."""

    compute: float
    reduce: float
    mfu: float

    @property
    def hidden(self) -> float:
        """Return the time of a batch whose gradients are summed while others are still computed."""
        return max(self.compute, self.reduce)


def expected(work: Work, device: Accelerator, dtype: str, devices: int, reached: float = REACHED) -> Time:
    """Return the expected time of a batch.

    A product takes as long as its arithmetic or its traffic, whichever is longer; what is between products is taken to
    be fused into them. In a ring of N devices, each sends and receives 2 (N - 1) / N times the gradients.
    """
    peak = device.flops[dtype]
    products = sum(max(flops / peak, size / device.bandwidth) for flops, size in work.products)
    compute = (products + work.moved / device.bandwidth) / reached
    reduce = 2 * (devices - 1) / devices * work.reduced / device.links / reached
    flops = sum(product.flops for product in work.products)
    return Time(compute, reduce, flops / max(compute, reduce) / peak)


def work_of(plan: footprint.Plan) -> Work:
    """Return the work of a batch of a plan."""
    share = cost.frequencies(plan.system, plan.config.train.steps)
    products, moved, reduced = [], 0.0, 0.0
    for name, traced in plan.traces.items():
        part, trained = share[name], plan.trained(name)
        products += [cost.Product(part * flops, part * size) for flops, size in cost.products(traced.jaxpr.jaxpr)]
        moved += part * 2 * 4 * trained  # parameters, gradients and two moments, read and written
        reduced += part * trained
    return Work(products, moved, reduced)


def planned(name: str, devices: int, rows: int) -> footprint.Plan:
    """Plan the training of a config in `DTYPE` with `rows` faces on each device."""
    config = configs.load(name, (f"precision.compute={DTYPE}", f"data.batch_size={devices * rows}", "parallel.fsdp=1"))
    return footprint.planned(config, devices, load_model)


def table(*columns: str) -> None:
    """Print the head of a Markdown table; columns but the first are numbers."""
    print(f"\n| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|")


def row(*cells: object) -> None:
    """Print a row."""
    print(f"| {' | '.join(map(str, cells))} |")


def main() -> int:
    """Print the tables."""
    for title, name in MODELS.items():
        plans = {rows: planned(name, 8, rows) for rows in (1, ROWS)}
        work = {rows: work_of(plan) for rows, plan in plans.items()}
        memory, copied = sum(plans[ROWS].memory().values()), cost.size_bytes(plans[ROWS].batch) / ROWS
        flops, traffic = (sum(column) / ROWS for column in zip(*work[ROWS].products, strict=True))
        print(f"\n### {title} (`{name}`)")
        print(
            f"{flops / 1e12:.2f} TFLOP and {traffic / 1e9:.1f} GB of products a face, {work[1].reduced / 1e6:.0f} MB "
            f"of gradients a batch, {memory / 2**30:.1f} GiB of memory with {ROWS} faces on a device."
        )
        table("machine", "batch", "bound", "compute", "all-reduce", "faces/s", "MFU", "cores", "read", "copied", "fits")
        for one in MACHINES:
            print_machine(one, work[ROWS], memory, copied)
        table("32 faces in all", "8 devices", "32 devices", "faces/s", "MFU", "all-reduce hides from", "32 are fed by")
        for kind in dict.fromkeys(one.kind for one in MACHINES):
            print_limits(kind, work)
    return 0


def print_machine(one: Machine, work: Work, memory: int, copied: float) -> None:
    """Print what a machine is expected to do with `ROWS` faces on each device; the last numbers are those of a host."""
    device = ACCELERATORS[one.kind]
    bound = expected(work, device, DTYPE, one.devices, reached=1.0)
    time = expected(work, device, DTYPE, one.devices)
    speed = one.devices * ROWS / time.hidden
    each = speed / one.hosts
    row(
        one.name,
        one.devices * ROWS,
        milliseconds(bound.hidden),
        milliseconds(time.compute),
        milliseconds(time.reduce),
        f"{speed:,.0f}",
        f"{100 * time.mfu:.0f} %",
        f"{each / IMAGES_PER_CORE:.0f} of {one.cores}",
        f"{each * FACE_BYTES / 1e6:,.0f} MB/s",
        f"{each * copied / 1e9:.1f} GB/s",
        "yes" if memory <= device.memory else "no",
    )


def print_limits(kind: str, work: dict[int, Work]) -> None:
    """Print what more devices gain where the batch stays 32 faces: four on each of 8 devices, one on each of 32."""
    few, many = (expected(work[rows], ACCELERATORS[kind], DTYPE, 32 // rows) for rows in (ROWS, 1))
    hides = max(1, math.ceil(many.reduce / many.compute))
    row(
        kind,
        milliseconds(few.hidden),
        milliseconds(many.hidden),
        f"{32 / many.hidden:,.0f}",
        f"{100 * many.mfu:.0f} %",
        f"{hides} face{'s' * (hides > 1)} a device",
        f"{32 / many.hidden / IMAGES_PER_CORE:.0f} cores",
    )


def milliseconds(seconds: float) -> str:
    """Format seconds; nothing for none."""
    return f"{1e3 * seconds:.1f} ms" if seconds else "-"


if __name__ == "__main__":
    sys.exit(main())
