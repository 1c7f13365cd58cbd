"""Scores on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from input_pipeline.labels import LabelSet
from l2s_jax.commands import console


def show(screen: Console, metrics: Mapping, label_set: LabelSet) -> None:
    """Print the tables of an evaluation: every class, then one line for each kind of score."""
    screen.print(f"[bold]scores on {console.escape(metrics['data']['spec'])}[/]", soft_wrap=True)
    screen.print(classes(metrics, label_set))
    screen.print()
    for line in summary(metrics):
        screen.print(line)


def classes(metrics: Mapping, label_set: LabelSet) -> Table:
    """F1 and IoU of every class, its leakage where the system has slices; `-` where the data has no such pixel."""
    per_class = metrics["segmentation"]["per_class"]
    leak = metrics.get("disentanglement", {}).get("leak", {})
    columns = ["", "class", ">F1", ">IoU", *([">leak"] if leak else [])]
    grid = console.table(None, *columns)
    for label in label_set.labels:
        scores = per_class.get(label.name, {})
        cells = [_number(scores.get("f1")), _number(scores.get("iou"))]
        cells += [_number(leak.get(label.name))] if leak else []
        grid.add_row(console.swatch(label.color), label.title, *cells)
    return grid


def summary(metrics: Mapping) -> list[str]:
    """One line per kind of score that was measured."""
    segmentation, code, picture = (metrics.get(k, {}) for k in ("segmentation", "disentanglement", "reconstruction"))
    lines = [
        f"mean F1 [bold]{_number(segmentation['mean_f1'])}[/] [dim]without background[/]  "
        f"mean IoU [bold]{_number(segmentation['mean_iou'])}[/]  [dim]{metrics['data']['examples']} faces[/]"
    ]
    if code:
        lines.append(
            f"macro ACS [bold]{_number(code['macro_acs'])}[/]  ACS {_number(code['acs'])}"
            f"  dead slices: {', '.join(code['dead_slices']) or 'none'}"
        )
    if picture:
        lines.append(f"reconstruction L1 {_number(picture['l1'])}  PSNR {_number(picture['psnr'], 2)} dB")
    if code:
        lines.append("[dim]ACS: share of a slice's effect inside its own region; leak: the share outside[/]")
    return lines


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
