"""Scores on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from input_pipeline.labels import LabelSet
from l2s_jax.commands import console
from l2s_jax.metrics.published import Published


def show(screen: Console, metrics: Mapping, label_set: LabelSet, reported: Published | None) -> None:
    """Print the tables of an evaluation: every class, then one line for each kind of score.

    Args:
      screen: where to.
      metrics: of `experiment.measure`.
      label_set: the classes.
      reported: what a paper reports of them, to stand beside.
    """
    screen.print(f"[bold]scores on {console.escape(metrics['data']['spec'])}[/]", soft_wrap=True)
    screen.print(classes(metrics, label_set, reported))
    if reported is not None:
        screen.print(console.escape(reported.caption), style="dim")
    screen.print()
    for line in summary(metrics):
        screen.print(line)


def classes(metrics: Mapping, label_set: LabelSet, reported: Published | None) -> Table:
    """F1 and IoU of every class at network resolution and F1 at the masks' own; `-` where the data has no such pixel.

    Where the system has slices also their leakage, where a paper has the same classes also its F1.
    """
    per_class, native = (scores["per_class"] for scores in _resolutions(metrics))
    leak = metrics.get("disentanglement", {}).get("leak", {})
    columns = ["", "class", ">F1", ">IoU", ">F1 native"]
    grid = console.table(None, *columns, *[">leak"] * bool(leak), *[">published F1"] * (reported is not None))
    for label in label_set.labels:
        scores = per_class.get(label.name, {})
        cells = [_number(value) for value in (scores.get("f1"), scores.get("iou"), _f1(native, label.name))]
        cells += [_number(leak.get(label.name))] if leak else []
        cells += [f"[dim]{_number(reported.f1.get(label.name))}[/]"] if reported is not None else []
        grid.add_row(console.swatch(label.color), label.title, *cells)
    return grid


def summary(metrics: Mapping) -> list[str]:
    """One line per kind of score that was measured."""
    segmentation, native = _resolutions(metrics)
    code, picture = metrics.get("disentanglement", {}), metrics.get("reconstruction", {})
    lines = [
        f"mean F1 [bold]{_number(segmentation['mean_f1'])}[/], native {_number(native['mean_f1'])}  "
        f"[dim]without background[/]  mean IoU [bold]{_number(segmentation['mean_iou'])}[/]  "
        f"[dim]{metrics['data']['examples']} faces[/]"
    ]
    if "merged" in segmentation:
        sides, merged = segmentation["per_class"], segmentation["merged"]
        pairs = [name for name in merged["per_class"] if name not in sides]
        each = ", ".join(f"{name} {_number(_f1(merged['per_class'], name))}" for name in pairs)
        lines.append(f"left and right as one: mean F1 {_number(merged['mean_f1'])}  [dim]{each}[/]")
    if code:
        lines.append(
            f"macro ACS [bold]{_number(code['macro_acs'])}[/]  ACS {_number(code['acs'])}"
            f"  dead slices: {', '.join(code['dead_slices']) or 'none'}"
        )
    if picture:
        lines.append(f"reconstruction L1 {_number(picture['l1'])}  PSNR {_number(picture['psnr'], 2)} dB")
    lines.append("[dim]native: at the masks' own size instead of the network's[/]")
    if code:
        lines.append("[dim]ACS: share of a slice's effect inside its own region; leak: the share outside[/]")
    return lines


def _resolutions(metrics: Mapping) -> tuple[Mapping, Mapping]:
    """Scores at the network's resolution, and at the masks' own."""
    return metrics["segmentation"], metrics["segmentation"]["native"]


def _f1(per_class: Mapping, name: str) -> float | None:
    return per_class.get(name, {}).get("f1")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
