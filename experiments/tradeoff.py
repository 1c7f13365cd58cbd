"""What does accuracy cost? Mean F1 against milliseconds a face: models at several input sizes, in one figure.

    python experiments/tradeoff.py parser-small [MODEL ...] --data 'folder:data/celebamask_mini?val' --out tradeoff.png
        [--sizes 128,160,192,224,256] [--json tradeoff.json]

A model parses every face of --data at every size; its logits are enlarged to the size that it was trained for, at which
the masks are compared: F1 is the mean over all classes but the background. The time is the median of one face, from
float pixels to class ids, on a machine that should have nothing else to do. The mean mask, which sees no picture, is
the baseline. For models that take any multiple of 32 px, as those of segface without landmarks do.
"""

import argparse
import io
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from input_pipeline.loading.train import eval_batches
from l2s_jax.bench.timing import timed
from l2s_jax.inference.model import Model, load_model
from l2s_jax.layers.enlarge import enlarge
from l2s_jax.metrics import segmentation
from l2s_jax.report.svg import BLUE, CARD, INK, MUTED, ORANGE, TEAL, style
from l2s_jax.types import unpacked

COLORS = (BLUE, ORANGE, TEAL)
BATCH, SECONDS = 20, 3.0
"""Faces scored at a time; how long each size is timed."""


def measure(model: Model, data: str, sizes: Sequence[int]) -> dict:
    """Return `mean_mask` and the entries `size`, `f1` and `ms` of each size.

    Raises:
      UserError: the data cannot be opened.
    """
    system, side = model.system, model.meta.preprocessing.image_size
    names, classes = system.label_set.names, len(system.label_set)

    def ids(variables, image, size):
        small = jax.image.resize(image, (len(image), size, size, 3), "linear")  # widens when it reduces
        return enlarge(system.predict(variables, small).logits, (side, side)).argmax(-1)

    def counted(variables, batch, size):
        found = ids(variables, batch["image"], size)
        return segmentation.confusion(found, batch["mask"], classes, batch["weight"])

    count = jax.jit(counted, static_argnums=2)
    options = {"image_size": side, "batch_size": BATCH, "resize": model.meta.preprocessing.rule}
    confusions = {size: np.zeros((classes, classes), np.int64) for size in sizes}
    places = np.zeros((side, side, classes), np.int64)
    source = open_source(data, size=side)
    for batch in (unpacked(each) for each, _ in eval_batches(source, label_set=system.label_set, **options)):
        arrays = {name: jnp.asarray(batch[name]) for name in ("image", "mask", "weight")}
        places += segmentation.position_counts(batch["mask"], batch["weight"], classes)
        for size in sizes:
            confusions[size] += np.asarray(count(model.variables, arrays, size))
    baseline = segmentation.baselines(places, names)["mean_mask"]["mean_f1"]
    f1 = {size: segmentation.scores(counts, names)["mean_f1"] for size, counts in confusions.items()}
    return {
        "mean_mask": baseline,
        "points": [{"size": size, "f1": f1[size], "ms": milliseconds(model, size)} for size in sizes],
    }


def milliseconds(model: Model, size: int) -> float:
    """Return the median time of one face of `size` px, from pixels [1, size, size, 3] to class ids."""
    labels = jax.jit(lambda variables, image: model.system.predict(variables, image).labels)
    faces = jax.random.uniform(jax.random.key(0), (4, 1, size, size, 3), minval=-1, maxval=1)
    return 1e3 * float(np.median(timed(lambda k: labels(model.variables, faces[k % 4]), SECONDS, fewest=20)))


def hardware() -> str:
    """Name the device that JAX uses."""
    device = jax.devices()[0]
    return f"{os.cpu_count()} {platform.machine()} CPU cores" if device.platform == "cpu" else device.device_kind


def chart(found: Mapping[str, Mapping], where: str) -> bytes:
    """Draw the results of `measure` by model as a PNG."""
    with style():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained", facecolor=CARD)
        axes = figure.add_subplot(facecolor=CARD)
        for color, (name, result) in zip(COLORS, found.items(), strict=False):
            points = [(p["ms"], p["f1"]) for p in result["points"]]
            axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=5, label=name)
            for point, place in zip(result["points"], points, strict=True):
                axes.annotate(f"{point['size']} px", place, (5, -12), textcoords="offset points", fontsize=9, color=INK)
            axes.axhline(result["mean_mask"], color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(
            "mean mask, sees no picture", (0.02, result["mean_mask"]), (0, 4), ("axes fraction", "data"),
            "offset points", fontsize=9, color=MUTED,
        )  # fmt: skip
        axes.set_xlabel(f"ms a face, batch 1, {where}")
        axes.set_title("mean F1 without background", color=MUTED, fontsize=11, loc="left")
        axes.margins(x=0.12, y=0.15)
        axes.set_xlim(left=0)
        axes.grid()
        axes.legend(loc="lower right", labelcolor=INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=f"at most {len(COLORS)}")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--sizes", default="128,160,192,224,256")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    sizes = [int(size) for size in args.sizes.split(",") if size.isdecimal() and int(size) % 32 == 0]
    if len(sizes) < len(args.sizes.split(",")) or not all(sizes):
        raise UserError(f"--sizes={args.sizes} must be multiples of 32, such as 128,256")
    models = {Path(name).name: load_model(name) for name in args.models[: len(COLORS)]}
    if unfit := [name for name, model in models.items() if model.meta.system != "segface"]:
        raise UserError(f"'{unfit[0]}' does not take pictures of other sizes: give models of segface")
    files.writable_file(args.out)
    found = {name: measure(model, args.data, sizes) for name, model in models.items()}
    files.replace(args.out, chart(found, hardware()))
    if args.json:
        files.replace_json(args.json, {"data": args.data, "hardware": hardware(), "models": found})
    for name, result in found.items():
        for point in result["points"]:
            print(f"{name:20} {point['size']:4} px  mean F1 {point['f1']:.3f}  {point['ms']:6.1f} ms")
        print(f"{'mean mask':20} {'':4}     mean F1 {result['mean_mask']:.3f}")


if __name__ == "__main__":
    sys.exit(main())
