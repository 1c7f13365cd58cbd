"""How fast is SegFace with each backbone: one face at a time, and many at once?

    python experiments/segface_speed.py [--backbones mobilenet,mini] [--sizes 256,512] [--batch 8] [--train]

`latency` is one face from pixels to class ids, `throughput` a batch; `train` is a full update on a batch. All use the
published widths except for the backbone, 19 classes, random weights. Compilation time is listed separately, and
compilations are counted: if a function was compiled more than once for a shape, the exit code is 1 and the last column
names it. Wall time is the minimum of the repeats, the median in brackets; on a shared machine use the minimum.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from rich.table import Table

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax import cost, systems
from l2s_jax.commands import console
from l2s_jax.models import backbones
from l2s_jax.training import parallel
from l2s_jax.types import System

COMPILED = "/jax/core/compile/backend_compile_duration"
TIMED = ("latency", "throughput", "train")
PUBLISHED = [name for name in backbones.BACKBONES if not name.startswith("tiny_")]


def build(backbone: str, size: int, batch: int, precision: str) -> System:
    config = configs.default("segface").unlock()
    config.image_size, config.data.batch_size = size, batch
    config.model.backbone, config.precision.compute = backbone, precision
    return systems.build(config.lock())


def faces(rows: int, size: int, classes: int, seed: int) -> dict[str, np.ndarray]:
    """Make a batch of random noise."""
    rng = np.random.default_rng(seed)
    return {
        "image": rng.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32),
        "mask": rng.integers(0, classes, (rows, size, size), np.int32),
        "weight": np.ones(rows, np.float32),
    }


class Compiler:
    """A log of XLA's seconds for each compilation of the programs timed here: `parse`, and `run` of a parallel step."""

    def __init__(self):
        self.seconds: list[float] = []
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, seconds: float, **about) -> None:
        if event == COMPILED and about.get("fun_name") in ("jit(parse)", "jit(run)"):
            self.seconds.append(seconds)


def timed(call: Callable[[int], object], repeats: int, compiler: Compiler) -> dict:
    """Count and time the compilations, and time all calls but the first; `call` gets the number of the call."""
    before, seconds = len(compiler.seconds), []
    for number in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(call(number))
        seconds.append(time.perf_counter() - start)
    runs = compiler.seconds[before:]
    return {
        "compilations": len(runs),
        "compile_s": sum(runs),
        "min_s": min(seconds[1:]),
        "median_s": float(np.median(seconds[1:])),
    }


def measure(args: argparse.Namespace, backbone: str, size: int, compiler: Compiler) -> dict:
    """Measure one row of the table."""
    system = build(backbone, size, args.batch, args.precision)
    mesh = parallel.make_mesh("jit", 1, jax.devices()[:1])
    state = parallel.init_state(system.init, jax.random.key(0), mesh)
    variables = system.variables(state)
    result = {"backbone": backbone, "size": size, "batch": args.batch, "precision": args.precision}
    result["parameters"] = cost.parameters(state.params)

    @jax.jit
    def parse(variables, image):
        return system.predict(variables, image).labels

    for name, rows in (("latency", 1), ("throughput", args.batch)):
        images = [faces(rows, size, 1, seed)["image"] for seed in range(2)]  # consecutive calls get different arrays
        result[name] = timed(lambda n, images=images: parse(variables, images[n % 2]), args.repeats, compiler)
    if args.train:
        del variables
        step = parallel.data_parallel(system.steps["train"], mesh, "jit")
        classes = len(system.label_set)
        batches = [parallel.global_batch(faces(args.batch, size, classes, seed), mesh) for seed in range(2)]

        def update(number: int):
            nonlocal state  # the step donates its buffers
            state, metrics = step(state, batches[number % 2])
            return state, metrics

        result["train"] = timed(update, args.repeats, compiler)
    return result


def compiled_too_often(row: dict) -> list[str]:
    """List the functions compiled more than once, e.g. `train 2x`."""
    return [
        f"{key} {value['compilations']}x" for key, value in row.items() if key in TIMED and value["compilations"] > 1
    ]


def table(rows: list[dict], train: bool) -> Table:
    title = f"SegFace on {jax.devices()[0].device_kind}, best (median)"
    columns = [
        "backbone",
        ">M params",
        ">px",
        ">compile",
        ">latency",
        ">images/s",
        *[">train/image"] * train,
        "compiled",
    ]
    grid = console.table(title, *columns)
    for row in rows:
        latency, many, batch = row["latency"], row["throughput"], row["batch"]
        cells = [
            row["backbone"],
            f"{row['parameters'] / 1e6:.2f}",
            str(row["size"]),
            f"{latency['compile_s']:.1f} s",
            f"{1e3 * latency['min_s']:.0f} ({1e3 * latency['median_s']:.0f}) ms",
            f"{batch / many['min_s']:.1f} ({batch / many['median_s']:.1f})",
        ]
        if train:
            seconds = row["train"]
            cells.append(f"{1e3 * seconds['min_s'] / batch:.0f} ({1e3 * seconds['median_s'] / batch:.0f}) ms")
        grid.add_row(*cells, ", ".join(compiled_too_often(row)) or "once")
    return grid


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default=",".join(PUBLISHED), help="comma-separated (default: all)")
    parser.add_argument("--sizes", default="256,512", help="pixels a side, comma-separated (default 256,512)")
    parser.add_argument("--batch", type=int, default=8, help="faces at once for the throughput (default 8)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each cell (default 3)")
    parser.add_argument("--precision", choices=configs.PRECISIONS, default="float32", help="compute dtype")
    parser.add_argument("--train", action="store_true", help="also time updates (memory for gradients and averages)")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    screen, rows, compiler = console.out(), [], Compiler()
    try:
        for backbone in args.backbones.split(","):
            backbones.find(backbone)
        for backbone in args.backbones.split(","):
            for size in map(int, args.sizes.split(",")):
                screen.print(f"[dim]{backbone}, {size} px ...[/]")
                rows.append(measure(args, backbone, size, compiler))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    screen.print(table(rows, args.train))
    if args.json:
        args.json.write_text(json.dumps({"device": jax.devices()[0].device_kind, "rows": rows}, indent=1))
    return 1 if any(map(compiled_too_often, rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
