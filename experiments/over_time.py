"""How do segments, reconstruction and slices of an autoencoder change while it trains? One figure of its checkpoints.

    l2s train --config l2s_published_64 --workdir runs/published
    l2s train --config demo --workdir runs/demo --config.train.save_every=50 --config.train.keep=20
    python experiments/over_time.py published=runs/published ours=runs/demo --out over_time.png
        [--data 'synthetic:100?test'] [--json over_time.json]

Every checkpoint that a workdir keeps (`train.keep`, `train.save_every`) is measured as `l2s evaluate` measures a model.
Scores that stand in the JSON file already are not measured again, so a study may go on while a training does.
"""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
from matplotlib.figure import Figure

from input_pipeline import files
from input_pipeline.errors import UserError, script
from input_pipeline.images import resize_rules
from l2s_jax import config as configs
from l2s_jax import recipe, systems
from l2s_jax.report.svg import BLUE, CARD, INK, MUTED, ORANGE, TEAL, style
from l2s_jax.report.tables import group, number
from l2s_jax.training import checkpoints, parallel
from l2s_jax.training import workdir as layout

PANELS = {
    "mean F1": "segmentation.mean_f1",
    "PSNR of reconstructions, dB": "reconstruction.psnr",
    "macro ACS": "disentanglement.macro_acs",
    "dead slices": "dead",
}
"""Title and path in metrics.json of each panel."""
COLORS = (BLUE, ORANGE, TEAL, MUTED)
WIDTH, HEIGHT, DOTS_PER_INCH = 11.0, 2.9, 110


def measured(workdir: Path, spec: str, known: Mapping[str, dict]) -> dict[str, dict]:
    """Return the scores of every checkpoint by its batch; those of `known` are taken over.

    Raises:
      UserError: no workdir, no checkpoint, or data that cannot be read.
    """
    config = configs.load(workdir / "config.json")
    system = systems.build(config)
    mesh = parallel.make_mesh("jit", 1, jax.devices()[:1])
    like = parallel.abstract_state(system.init, jax.random.key(config.seed), mesh)
    source, found = recipe.open_data(spec, config), dict(known)
    options = {"image_size": config.image_size, "batch_size": config.eval.batch_size, "seed": config.seed}
    options["resize"] = resize_rules.find(config.data.resize)
    kept = checkpoints.checkpoints(workdir / layout.LATEST)
    if not kept:
        raise UserError(f"{workdir} holds no checkpoint; train there first")
    for target in reversed(kept):
        batch = str(int(target.name))
        if batch not in found:
            variables = system.variables(checkpoints.restore_state(target, like))
            found[batch] = recipe.measure(system, variables, source, spec, options, None).metrics
            print(f"{workdir} {batch}: " + ", ".join(f"{k} {value(found[batch], p)}" for k, p in PANELS.items()))
    return found


def value(metrics: Mapping, path: str) -> float | None:
    """Return the score of a panel."""
    if path == "dead":
        return float(len(group(metrics, "disentanglement").get("dead_slices", ())))
    return number(metrics, *path.split("."))


def chart(runs: Mapping[str, Mapping[str, Mapping]]) -> bytes:
    """Draw a PNG of one panel for each score, one line for each run, over batches of training."""
    with style():
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor=CARD, layout="constrained")
        for axes, (title, path) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            for color, (name, run) in zip(COLORS, runs.items(), strict=False):
                points = sorted((int(batch), value(metrics, path)) for batch, metrics in run.items())
                axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3.5, label=name)
            axes.set_title(title, color=MUTED, fontsize=11, loc="left")
            axes.set_xlabel("batches", color=MUTED, fontsize=9)
            axes.set_ylim(bottom=0)
            axes.set_xlim(left=0)
            axes.grid()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(runs), labelcolor=INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


@script
def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help=f"NAME=WORKDIR, at most {len(COLORS)}")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--data", default="synthetic:100?test", help="faces (default synthetic:100?test)")
    parser.add_argument("--json", type=Path, help="scores of every checkpoint, kept between calls")
    args = parser.parse_args(words)
    files.writable_file(args.out)
    found = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    for run in args.runs[: len(COLORS)]:
        name, _, where = run.partition("=")
        found[name] = measured(Path(where), args.data, found.get(name, {}))
        if args.json:
            files.replace_json(args.json, found)
    files.replace(args.out, chart(found))


if __name__ == "__main__":
    sys.exit(main())
