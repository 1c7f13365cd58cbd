"""How time and memory grow with resolution, batch, number of classes, backbone and devices.

    python experiments/bench/growth.py resolution --json growth/resolution.json
    python experiments/bench/growth.py batch --json growth/batch.json
    XLA_FLAGS=--xla_force_host_platform_device_count=2 python experiments/bench/growth.py devices --json growth/2.json
    python experiments/bench/growth.py --plot growth/*.json --out docs/images/growth.png

Each file holds points of one axis; files of the same axis are put together. The plot fits `time ~ x ** exponent` to
each line, and the same to its arithmetic: what grows faster than its arithmetic is worth a look. `devices` trains the
same batch on as many devices as there are; virtual ones of a CPU share its cores.
"""

import argparse
import collections
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import matplotlib
import numpy as np

from input_pipeline import files
from l2s_jax import systems
from l2s_jax.bench.measure import Plan, measure
from l2s_jax.bench.results import Measurement
from l2s_jax.bench.subjects import Subject, subjects

AXES = ("resolution", "batch", "classes", "backbone", "devices")
LABEL_SETS = ("hair_skin", "l2s_regions", "lapa", "celebamask")
BACKBONES = ("convnext_tiny", "convnext_small", "convnext_base")

Point = tuple[str, float, Measurement]
"""Name of the line, place on the axis, measurement."""


def segface(size: int, **changes) -> Subject:
    """Return SegFace with its smallest backbone, or another `backbone`, for another `label_set`."""
    (subject,) = subjects(("segface",), (changes.pop("backbone", "mini"),), sizes=(size,), batch=8)
    config = subject.config
    with config.unlocked():
        config.update(changes)
    return subject._replace(system=systems.build(config))


def l2s(size: int) -> Subject:
    """Return Latents2Segments with its default networks."""
    (subject,) = subjects(("latents2segments",), sizes=(size,), batch=8)
    return subject


def points(axis: str, seconds: float) -> Iterator[Point]:
    """Measure the lines of an axis."""
    one = Plan((1,), seconds, training=False)
    if axis == "resolution":
        for name, make, sizes in (("SegFace", segface, (64, 128, 256, 512)), ("L2S", l2s, (64, 128, 256))):
            for size in sizes:
                yield from _of((name, size), make(size), one)
    elif axis == "batch":
        for found in _measured(segface(128), one._replace(batches=(1, 2, 4, 8, 16))):
            yield "SegFace", found.batch, found
    elif axis == "classes":
        for name in LABEL_SETS:
            subject = segface(128, label_set=name)
            yield from _of(("SegFace", len(subject.system.label_set)), subject, one)
    elif axis == "backbone":
        for name in BACKBONES:
            for found in _measured(segface(128, backbone=name), one):
                yield "SegFace, ConvNeXt", found.flops / 1e9, found
    else:
        for found in _measured(segface(64), one._replace(batches=(), training=True)):
            if found.program.startswith("step"):
                yield "SegFace, step", jax.device_count(), found


def _of(place: tuple[str, float], subject: Subject, plan: Plan) -> Iterator[Point]:
    for found in _measured(subject, plan):
        if found.program in ("parse", "parse by light"):
            yield f"{place[0]}, {found.program}", place[1], found


def _measured(subject: Subject, plan: Plan) -> list[Measurement]:
    return measure([subject], plan, print)[0]


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit the exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def plot(sources: Sequence[Path], out: Path) -> None:
    """Draw time over arithmetic's growth, a panel for each axis, and print the exponents."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    lines: dict[str, dict[str, list]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for source in sources:
        content = json.loads(source.read_text())
        for name, x, row in content["points"]:
            lines[content["axis"]][name].append((x, Measurement(**row)))
    figure, panels = pyplot.subplots(1, len(lines), figsize=(3.2 * len(lines), 3), squeeze=False, layout="constrained")
    print("| axis | line | time | operations | memory |\n|---|---|---|---|---|")
    for panel, (axis, named) in zip(panels[0], lines.items(), strict=True):
        for name, found in named.items():
            found.sort(key=lambda point: point[0])
            x, rows = zip(*found, strict=True)
            columns = [[row.best_s for row in rows], [row.flops for row in rows], [row.peak_bytes for row in rows]]
            time, *others = (exponent(x, column) for column in columns)
            print(f"| {axis} | {name} | {time:.2f} | " + " | ".join(f"{value:.2f}" for value in others) + " |")
            panel.loglog(x, columns[0], "o-", markersize=4, label=f"{name}: {time:.2f}")
        panel.set_xlabel("GFLOP of a call" if axis == "backbone" else axis)
        panel.legend(fontsize=7, title="exponent of time", title_fontsize=7)
    panels[0][0].set_ylabel("seconds of a call")
    files.writable_file(out)
    figure.savefig(out, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axis", nargs="?", choices=AXES)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each program (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the points here")
    parser.add_argument("--plot", type=Path, nargs="+", default=[], help="files of points to draw")
    parser.add_argument("--out", type=Path, default=Path("growth.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    if args.plot:
        plot(args.plot, args.out)
    if args.axis:
        found = [(name, x, dataclasses.asdict(one)) for name, x, one in points(args.axis, args.seconds)]
        files.replace_json(
            files.writable_file(args.json or Path(f"{args.axis}.json")), {"axis": args.axis, "points": found}
        )


if __name__ == "__main__":
    main()
