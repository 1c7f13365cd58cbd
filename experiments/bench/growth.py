"""How time and memory grow with resolution, batch, number of classes, backbone and devices.

    python experiments/bench/growth.py resolution --json growth/resolution.json  # and batch, classes, backbone
    XLA_FLAGS=--xla_force_host_platform_device_count=2 python experiments/bench/growth.py devices --json growth/2.json
    python experiments/bench/growth.py --plot growth/*.json --out docs/images/growth.png

Each call takes one to three minutes of two cores. Each file holds points of one axis; files of the same axis are put
together. The plot fits `time ~ x ** exponent` to each line, and the same to its arithmetic: what grows faster than its
arithmetic is worth a look. `devices` trains the same batch on as many devices as there are; virtual ones of a CPU share
its cores.
"""

import argparse
import collections
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import matplotlib
import numpy as np

from input_pipeline import files, labels
from input_pipeline.errors import script
from l2s_jax import systems
from l2s_jax.bench.measure import Plan, measure
from l2s_jax.bench.results import Measurement
from l2s_jax.bench.subjects import Subject, subjects

AXES = ("resolution", "batch", "classes", "backbone", "devices")
LABEL_SETS = ("hair_skin", "l2s_regions", "lapa", "celebamask")
BACKBONES = ("convnext_tiny", "convnext_small", "convnext_base")

Point = tuple[str, float, Measurement]
"""Name of the line, place on the axis, measurement."""


def segface(size: int, backbone: str = "mini", label_set: str = "celebamask", batch: int = 8) -> Subject:
    """Return SegFace, by default with its smallest backbone of class tokens."""
    (subject,) = subjects(("segface",), (backbone,), sizes=(size,), batch=batch)
    return _for_labels(subject, label_set)


def l2s(size: int, label_set: str = "l2s_regions") -> Subject:
    """Return Latents2Segments, which parses from decodes and with the light head and does nothing else."""
    (subject,) = subjects(("latents2segments",), sizes=(size,), batch=8)
    with subject.config.unlocked():
        subject.config.model.slices = (6,) * len(labels.get(label_set))
    subject = _for_labels(subject, label_set)
    ways = {name: subject.system.segmenters[name] for name in ("decodes", "light")}
    return subject._replace(system=dataclasses.replace(subject.system, segmenters=ways, codec=None))


def _for_labels(subject: Subject, label_set: str) -> Subject:
    with subject.config.unlocked():
        subject.config.label_set = label_set
    return subject._replace(system=systems.build(subject.config))


def points(axis: str, seconds: float) -> Iterator[Point]:
    """Measure the lines of an axis."""
    parse = Plan((1,), seconds, training=False)
    train = Plan((), seconds)
    match axis:
        case "resolution":
            for size in (64, 128, 256, 512):
                yield from _measured("SegFace", size, segface(size), parse)
            for size in (64, 128, 256):
                yield from _measured("SegFace", size, segface(size, batch=4), train)
                yield from _measured("L2S", size, l2s(size), parse)
        case "batch":
            for rows in (1, 2, 4, 8, 16):
                yield from _measured("SegFace", rows, segface(128), parse._replace(batches=(rows,)))
            for rows in (2, 4, 8):
                yield from _measured("SegFace", rows, segface(128, batch=rows), train)
        case "classes":
            for name in LABEL_SETS:
                count = len(labels.get(name))
                yield from _measured("SegFace", count, segface(128, label_set=name), parse)
                yield from _measured("L2S", count, l2s(64, name), parse)
        case "backbone":
            for name in BACKBONES:
                for _, _, found in _measured("", 0, segface(128, name), parse):
                    yield "SegFace with ConvNeXt", found.flops / 1e9, found
        case "devices":
            yield from _measured("SegFace", jax.device_count(), segface(64), train)


def _measured(name: str, place: float, subject: Subject, plan: Plan) -> Iterator[Point]:
    for found in measure([subject], plan, print)[0]:
        if found.program != "training":
            yield f"{name}: {found.program}", place, found


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit the exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def plot(sources: Sequence[Path], out: Path) -> None:
    """Draw the time of a call, a panel for each axis; print the exponents, fitted to all points and to the last two."""
    matplotlib.use("agg")
    from matplotlib import pyplot, ticker

    lines: dict[str, dict[str, list]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for source in sources:
        content = json.loads(source.read_text())
        for name, x, row in content["points"]:
            lines[content["axis"]][name].append((x, Measurement(**row)))
    names = [axis for axis in AXES if axis in lines]
    size = (2.6 * len(names), 3.4)
    figure, panels = pyplot.subplots(1, len(names), figsize=size, squeeze=False, layout="constrained")
    print("| axis | line | from .. to | time | operations | memory | time, end | operations, end |")
    print("|---|---|---|---|---|---|---|---|")
    for panel, axis in zip(panels[0], names, strict=True):
        for name, found in lines[axis].items():
            if len(found) < 2:
                continue
            found.sort(key=lambda point: point[0])
            x, rows = zip(*found, strict=True)
            seconds, flops = [row.median_s for row in rows], [row.flops for row in rows]
            memory = [row.peak_bytes for row in rows]
            fits = [exponent(x, column) for column in (seconds, flops, memory)]
            fits += [exponent(x[-2:], column[-2:]) for column in (seconds, flops)]
            print(f"| {axis} | {name} | {x[0]:.3g} .. {x[-1]:.3g} |", " | ".join(f"{fit:.2f}" for fit in fits), "|")
            panel.loglog(x, [1000 * s for s in seconds], "o-", markersize=4, label=f"{name}: {fits[0]:.2f}")
        places = sorted({place for found in lines[axis].values() for place, _ in found})
        panel.set_xticks(places, [f"{place:.3g}" for place in places])
        low, high = panel.get_ylim()
        panel.set_ylim(min(low, high / 20), high)  # a small range would make every line steep
        panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
        panel.set_xlabel("GFLOP of a call" if axis == "backbone" else axis)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
        panel.legend(fontsize=8, title="exponent of time", title_fontsize=8, **below)
    panels[0][0].set_ylabel("milliseconds of a call")
    files.writable_file(out)
    figure.savefig(out, dpi=90)


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axis", nargs="?", choices=AXES)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each program (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the points here")
    parser.add_argument("--plot", type=Path, nargs="+", default=[], help="files of points to draw")
    parser.add_argument("--out", type=Path, default=Path("growth.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    if args.plot:
        plot(args.plot, args.out)
    if args.axis:
        out, found = files.writable_file(args.json or Path(f"{args.axis}.json")), []
        for name, x, one in points(args.axis, args.seconds):
            found.append((name, x, dataclasses.asdict(one)))
            files.replace_json(out, {"axis": args.axis, "points": found})  # what there is counts if time runs out


if __name__ == "__main__":
    sys.exit(main())
