"""Print scores on the terminal."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from input_pipeline.labels import LabelSet
from l2s_jax.commands import console
from l2s_jax.report import tables
from l2s_jax.systems.base import Result

_STRUCTURE = "boundary_f1", "components_off"
_WIDE = 100
"""Columns of a terminal that also shows the structure of every class."""


def show(screen: Console, metrics: Mapping, label_set: LabelSet, reported: Result | None) -> None:
    """Print the tables of an evaluation: every class, then one line for each kind of score.

    Args:
      screen: console to print on.
      metrics: result of `recipe.measure`.
      label_set: the classes.
      reported: scores of a paper on the same classes, for comparison, or None.
    """
    screen.print(f"[bold]scores on {console.escape(metrics['data']['spec'])}[/]", soft_wrap=True)
    if "segmentation" not in metrics:
        for title, table in tables.own_tables(metrics):
            screen.print(_own_table(title, table))
        return
    screen.print(classes(metrics, label_set, reported, structure=screen.width >= _WIDE))
    if reported is not None:
        screen.print(console.escape(reported.caption), style="dim")
    screen.print()
    for line in summary(metrics):
        screen.print(line)


def _own_table(title: str, table: tables.Table) -> Table:
    _, *columns = table.head
    grid = console.table(console.escape(title), "", *(f">{console.escape(column)}" for column in columns))
    for row in table.rows:
        grid.add_row(*(console.escape(cell.text) for cell in row))
    return grid


def classes(metrics: Mapping, label_set: LabelSet, reported: Result | None, *, structure: bool) -> Table:
    """Make a table of F1 and IoU of every class at network resolution and F1 at the masks' own resolution.

    `-` marks classes without pixels. Further columns: with `structure` boundary F1 and components off, the F1 of the
    mean mask, the leakage if the system has slices, and the published F1 if a paper has the same classes.
    """
    per_class, native = (scores["per_class"] for scores in _resolutions(metrics))
    leak = metrics.get("disentanglement", {}).get("leak", {})
    mean_mask = _baselines(metrics).get("mean_mask", {}).get("per_class", {})
    boundary, off = (metrics["segmentation"].get(name, {}).get("per_class", {}) for name in _STRUCTURE)
    structure = structure and bool(off)
    columns = ["", "class", ">F1", ">IoU", ">F1 native", *[">boundary F1", ">components off"] * structure]
    columns += [*[">mean mask F1"] * bool(mean_mask)]
    grid = console.table(None, *columns, *[">leak"] * bool(leak), *[">published F1"] * (reported is not None))
    for label in label_set.labels:
        scores = per_class.get(label.name, {})
        cells = [_number(value) for value in (scores.get("f1"), scores.get("iou"), _f1(native, label.name))]
        cells += [_number(boundary.get(label.name)), _number(off.get(label.name), 2)] if structure else []
        cells += [f"[dim]{_number(_f1(mean_mask, label.name))}[/]"] if mean_mask else []
        cells += [_number(leak.get(label.name))] if leak else []
        cells += [f"[dim]{_number(reported.f1.get(label.name))}[/]"] if reported is not None else []
        grid.add_row(console.swatch(label.color), label.title, *cells)
    return grid


def summary(metrics: Mapping) -> list[str]:
    """Return one line per kind of score that was measured, each followed by a dim line of its baselines."""
    segmentation, native = _resolutions(metrics)
    code, picture = metrics.get("disentanglement", {}), metrics.get("reconstruction", {})
    lines = [
        f"mean F1 [bold]{_number(segmentation['mean_f1'])}[/], native {_number(native['mean_f1'])}  "
        f"[dim]without background[/]  mean IoU [bold]{_number(segmentation['mean_iou'])}[/]  "
        f"[dim]{metrics['data']['examples']} faces[/]"
    ]
    if beside := _baselines(metrics):
        titles = {"mean_mask": "mean mask", "chance": "chance"}
        lines += _line_beside(f"{title} {_number(beside[name]['mean_f1'])}" for name, title in titles.items())
    if set(_STRUCTURE) <= set(segmentation):
        boundary, off = (segmentation[name] for name in _STRUCTURE)
        lines.append(
            f"boundary F1 {_number(boundary['mean'])}  components off {_number(off['total'], 2)} [dim]a face[/]"
        )
    if len(ways := metrics.get("segmentation_by", {})) > 1:
        each = ", ".join(f"{name} {_number(scores['mean_f1'])}" for name, scores in ways.items())
        lines.append(f"mean F1 by way of segmenting: {each}")
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
        lines += _line_beside(f"{name} {_number(value)}" for name, value in acs_baselines(code).items())
        lines += _separation(metrics)
    if picture:
        lines.append(f"reconstruction {_errors(picture)}")
        lines += _line_beside(f"the mean face {_errors(picture[name])}" for name in ("mean_face",) if name in picture)
    lines.append("[dim]native: at the masks' own size instead of the network's[/]")
    if _baselines(metrics):
        lines.append("[dim]mean mask: the most frequent class at each pixel, whatever the photo shows[/]")
    if set(_STRUCTURE) <= set(segmentation):
        lines.append("[dim]components off: connected components too many or too few, all classes together[/]")
    if code:
        lines.append("[dim]ACS: share of a slice's effect inside its own region; leak: the share outside[/]")
    if code.get("probe_leakage") is not None:
        lines.append(
            "[dim]leakage: how well one slice tells where the OTHER regions lie, as a share of what all slices tell[/]"
        )
    if "without_matte" in code:
        lines.append("[dim]without the matte: of the colours alone, before the masks cut them out[/]")
    return lines


def _separation(metrics: Mapping) -> list[str]:
    """Return the lines of leakage, dependence and swaps, as far as they were measured."""
    code, swap, lines = metrics["disentanglement"], metrics.get("swap", {}), []
    if code.get("probe_leakage") is not None:
        probe = code["probe"]
        lines.append(f"leakage by probe [bold]{_number(probe['leakage'])}[/]  normalised HSIC {_number(code['hsic'])}")
        lines += _line_beside(
            (f"own outline alone {_number(probe['own_truth'])}", f"HSIC of permuted faces {_number(code['hsic_null'])}")
        )
    if swap.get("outside_over_inside") is not None:
        lines.append(
            f"swapped slices: change outside / inside [bold]{_number(swap['outside_over_inside'])}[/]"
            f"  seam {_number(swap['seam'], 2)} [dim]of true borders[/]"
        )
    return lines


def acs_baselines(code: Mapping) -> dict[str, float]:
    """Return the baselines of the macro ACS by name, as far as `metrics["disentanglement"]` has them."""
    nested = {"random generator": code.get("random_generator", {}), "without the matte": code.get("without_matte", {})}
    found = {name: scores.get("macro_acs") for name, scores in nested.items()} | {"chance": code.get("chance")}
    return {name: value for name, value in found.items() if value is not None}


def _line_beside(texts: Iterable[str]) -> list[str]:
    """Return the dim line of the baselines, if there are any."""
    found = ", ".join(texts)
    return [f"[dim]  beside it: {found}[/]"] if found else []


def _errors(picture: Mapping) -> str:
    return f"L1 {_number(picture['l1'])}  PSNR {_number(picture['psnr'], 2)} dB"


def _baselines(metrics: Mapping) -> Mapping:
    """Return the baselines of the segmentation; empty for metrics written before these existed."""
    return metrics["segmentation"].get("baselines", {})


def _resolutions(metrics: Mapping) -> tuple[Mapping, Mapping]:
    """Return the scores at the network's resolution, and at the masks' own."""
    return metrics["segmentation"], metrics["segmentation"]["native"]


def _f1(per_class: Mapping, name: str) -> float | None:
    return per_class.get(name, {}).get("f1")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
