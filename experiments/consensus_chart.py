"""Draws what experiments/consensus_sparsity.py has measured: pieces too many or too few, and F1, of all seeds.

    python experiments/consensus_chart.py runs/consensus_sparsity/STUDY/test.csv chart.png

A bar is the mean over seeds, a dot one seed.
"""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from input_pipeline import files
from input_pipeline.errors import UserError, script
from l2s_jax.report.svg import BLUE, CARD, INK, MUTED, TEAL, style

ALL = "all"
PANELS = (
    ("components_off", 1.0, BLUE, "components off, a face", "{:.2f}"),
    ("f1", 100.0, TEAL, "mean F1, %", "{:.1f}"),
)
"""Column of the file, factor, colour, title, and format of a mean."""
HALO = {"facecolor": CARD, "edgecolor": "none", "pad": 1.5}
"""Box behind numbers, which keeps the line of the first loss away from them."""
ROW, WIDTH, DOTS_PER_INCH = 0.42, 10.0, 110


def read(path: Path) -> dict[str, list[dict[str, float]]]:
    """Read {loss: one dict of measures for each seed}, of all classes together, in the order of the file.

    Raises:
      UserError: the file cannot be read, or is not a table of the study.
    """
    runs: dict[str, list[dict[str, float]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(path.read_text())):
            if row["class"] == ALL:
                runs.setdefault(row["loss"], []).append({name: float(row[name]) for name, *_ in PANELS})
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"'{path}' is no table of experiments/consensus_sparsity.py") from error
    if not runs:
        raise UserError(f"'{path}' holds no runs")
    return runs


def chart(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Draw a PNG of two panels, one row for each loss; a line marks the mean of the first loss."""
    rows = np.arange(len(runs))
    with style():
        figure = Figure(figsize=(WIDTH, ROW * len(runs) + 0.9), facecolor=CARD, layout="constrained")
        for axes, (name, scale, color, title, digits) in zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True):
            seeds = [[scale * seed[name] for seed in loss] for loss in runs.values()]
            means = [np.mean(values) for values in seeds]
            axes.barh(rows, means, height=0.62, color=color, alpha=0.35)
            axes.axvline(means[0], color=INK, linewidth=1, dashes=(3, 3))
            for row, values in enumerate(seeds):
                axes.plot(values, [row] * len(values), "o", color=color, markersize=4.5)
                text, end = digits.format(means[row]), (max(values), row)
                axes.annotate(text, end, xytext=(8, 0), textcoords="offset points", va="center", bbox=HALO)
            axes.set_title(title, color=MUTED, fontsize=12, loc="left")
            axes.set(xlim=(0, 1.15 * max(max(values) for values in seeds)), ylim=(len(runs) - 0.4, -0.6))
            axes.set_yticks(rows, list(runs), color=INK, fontsize=12)
            axes.grid(axis="x")
            axes.spines[["left", "bottom"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


@script
def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="held-out.csv or test.csv of the study")
    parser.add_argument("out", type=Path, help="PNG file")
    args = parser.parse_args(words)
    drawn = chart(read(args.runs))
    files.writable_file(args.out)
    files.replace(args.out, drawn)


if __name__ == "__main__":
    sys.exit(main())
