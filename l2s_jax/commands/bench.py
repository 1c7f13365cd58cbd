"""Measure the speed of systems on this device: compilation, one image at a time, many at a time, every training step,
and training with its data, beside what the device reaches in plain convolutions and matrix products at the same moment.

Weights and images are random. docs/speed.md explains the columns, and has the tables.

examples:
  l2s bench --backbones mobilenet,mini --sizes 256,512
  l2s bench --config l2s_published_128 --json speed.json
  l2s bench --config l2s_published_128 --compare speed.json
  l2s bench --quick
"""

import argparse
import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from rich.table import Table

    from l2s_jax.bench.results import Ratio, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s bench`."""
    parser.add_argument("--config", metavar="NAMES", type=_words, default=(), help="configs, comma-separated")
    parser.add_argument("--systems", metavar="NAMES", type=_words, default=(), help="systems (default: all)")
    parser.add_argument("--backbones", metavar="NAMES", type=_words, default=(), help="backbones (default: all)")
    parser.add_argument("--sizes", metavar="PIXELS", type=_numbers, default=(), help="sides (default: each config's)")
    parser.add_argument("--precisions", metavar="NAMES", type=_words, default=(), help="float32, bfloat16 or both")
    parser.add_argument(
        "--batches",
        metavar="N,N",
        type=_numbers,
        default=(1, 4),
        help="images at a time; training steps take the largest (default: 1,4)",
    )
    parser.add_argument("--seconds", metavar="S", type=_seconds_of, default=1.0, help="for each program (default: 1)")
    parser.add_argument("--inference", action="store_true", help="no training steps")
    parser.add_argument("--quick", action="store_true", help="one call of every program of inference, at 64 px")
    parser.add_argument("--budget", metavar="S", type=_seconds_of, help="stop in time, and say what was left out")
    arguments.add_json(parser, "all numbers")
    parser.add_argument("--compare", metavar="OLD.json", type=Path, help="also print the ratios to an earlier run")


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables, write `args.json`."""
    began = time.monotonic()
    import jax

    from input_pipeline import files
    from l2s_jax.bench import results
    from l2s_jax.bench.measure import Plan, measure
    from l2s_jax.bench.subjects import subjects

    old = results.load(args.compare) if args.compare else None
    if args.json:
        files.writable_file(args.json)
    jax.config.update("jax_enable_compilation_cache", False)  # compilation is measured, too
    plan = Plan(args.batches, args.seconds, training=not args.inference)
    if args.quick:
        plan = plan._replace(batches=(1,), seconds=0.0, fewest=1, training=False)
        args.sizes, args.backbones = args.sizes or (64,), args.backbones or ("mini",)
        args.systems = args.systems or (() if args.config else _names())
    chosen = subjects(args.systems, args.backbones, args.config, args.sizes, args.precisions, batch=max(args.batches))
    screen = console.out()
    progress = console.errors(screen)
    if args.budget is not None:  # for everything: importing JAX and building the systems have taken some of it
        plan = plan._replace(budget=args.budget - (time.monotonic() - began))

    def keep(done: list, left_out: list) -> None:
        if args.json:  # after each program: what there is counts if the run is stopped
            results.save(so_far(done, left_out), args.json)

    so_far = functools.partial(results.Result, jax.devices()[0].device_kind, jax.device_count())
    result = so_far(*measure(chosen, plan, lambda name: progress.print(f"[dim]{name} ...[/]", soft_wrap=True), keep))
    screen.print(table(result))
    if result.left_out:
        screen.print(f"\nleft out {len(result.left_out)} programs:")
        left_out = (name.split(": ", 1) for name in result.left_out)
        for subject, names in itertools.groupby(left_out, key=lambda name: name[0]):
            screen.print(f"  {subject}: {'; '.join(name for _, name in names)}", soft_wrap=True, markup=False)
    keep(result.measurements, result.left_out)
    if old:
        screen.print()
        screen.print(_ratios(list(results.compare(result, old)), result, old))
    return 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(arguments.natural, text.split(",")))


def _seconds_of(text: str) -> float:
    value = float(text) if text.replace(".", "", 1).isdecimal() else -1.0
    if value < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return value


def _names() -> tuple[str, ...]:
    from l2s_jax import systems

    return systems.names()


def table(result: "Result") -> "Table":
    """Make the table of a result, a row for each program."""
    from l2s_jax.peaks import peak

    several = f"{result.devices} x " if result.devices > 1 else ""
    ceilings = [one.ceiling / 1e9 for one in result.measurements]
    reached = f", plain convolutions {min(ceilings):,.0f} to {max(ceilings):,.0f} GFLOP/s" if ceilings else ""
    columns = ["system", ">px", "dtype", "program", ">batch", ">compile", ">median", ">p95", ">images/s", ">GFLOP"]
    columns += [">GFLOP/s", ">of ceiling", ">MFU", ">memory", ">data wait"]
    grid = console.table(f"{several}{result.device}{reached}", *columns)
    for one in result.measurements:
        most = peak(result.device, one.precision)
        grid.add_row(
            one.variant or one.system,
            str(one.size),
            {"float32": "f32", "bfloat16": "bf16"}.get(one.precision, one.precision),
            one.program,
            str(one.batch),
            f"{one.compile_s:.1f} s" if one.compile_s else "-",
            _seconds(one.median_s),
            _seconds(one.p95_s),
            f"{one.images_per_second:.3g}",
            f"{one.flops / 1e9:.3g}",
            f"{one.flops_per_second / 1e9:.3g}",
            console.percent(one.flops_per_second / one.ceiling),
            console.percent(one.flops_per_second / most) if most else "-",
            f"{one.peak_bytes / 2**20:,.0f} MiB" if one.peak_bytes else "-",
            "-" if one.data_wait is None else console.percent(one.data_wait),
        )
    return grid


def _ratios(ratios: Sequence["Ratio"], new: "Result", old: "Result") -> "Table":
    title = f"times faster than before ({old.device}); at equal ceilings: as if both runs had met the same machine"
    columns = ["system", ">px", "dtype", "program", ">batch", ">before", ">now", ">faster", ">at equal ceilings"]
    grid = console.table(title, *columns, ">compilation")
    for one in ratios:
        grid.add_row(
            console.escape(one.new.variant or one.new.system),
            str(one.new.size),
            one.new.precision,
            one.new.program,
            str(one.new.batch),
            _seconds(one.old.median_s),
            _seconds(one.new.median_s),
            f"{one.faster:.2f}",
            f"{one.normalised:.2f}",
            f"{one.new.compile_s / one.old.compile_s:.2f} x" if one.old.compile_s else "-",
        )
    keys = {one.new.key for one in ratios}
    alone = [sum(each.key not in keys for each in run.measurements) for run in (new, old)]
    grid.caption = f"only now: {alone[0]} programs; only before: {alone[1]}"
    return grid


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"
