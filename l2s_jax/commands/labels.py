"""Show label sets: ids, names, colours, and the partners that change places when an image is mirrored.
l_ and r_ are the subject's own left and right.

examples:
  l2s labels
  l2s labels celebamask
  l2s labels --map celebamask lapa
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from input_pipeline.errors import require
from l2s_jax.commands import console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from input_pipeline.labels import LabelSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s labels`."""
    parser.add_argument("set", metavar="SET", nargs="?", help="a label set (default: a list of all)")
    parser.add_argument("--map", metavar=("SRC", "DST"), nargs=2, help="where each class of SRC goes in DST")


def run(args: argparse.Namespace) -> int:
    """Print all sets, one set, or a mapping; a set together with a mapping is a UserError."""
    from input_pipeline import labels

    require(not (args.set and args.map), "`l2s labels` shows either one SET or one --map SRC DST")
    screen = console.out()
    if args.map:
        src, dst = map(labels.get, args.map)
        _print_map(screen, src, dst, labels.remap(src, dst))
    elif args.set:
        _print_classes(screen, labels.get(args.set), labels.IGNORE)
    else:
        _print_all(screen, labels.LABEL_SETS.values())
    return 0


def _print_all(screen: Console, label_sets: Iterable[LabelSet]) -> None:
    grid = console.table("label sets", "name", ">classes", "class names, in id order")
    for label_set in label_sets:
        grid.add_row(f"[bold]{label_set.name}[/]", str(len(label_set)), " ".join(label_set.names))
    screen.print(grid)
    screen.print("\n[dim]l2s labels SET shows colours and flip partners; l_ and r_ are the subject's own sides.[/]")


def _print_classes(screen: Console, label_set: LabelSet, ignore: int) -> None:
    grid = console.table(f"label set {label_set.name}", ">id", "", "name", "meaning", "flips to", "RGB")
    for label in label_set.labels:
        partner = label.partner if label.partner in label_set.names else ""
        rgb = " ".join(f"{value:3d}" for value in label.color)
        grid.add_row(str(label.id), console.swatch(label.color), label.name, label.title, partner, f"[dim]{rgb}[/]")
    screen.print(grid)
    screen.print(f"\n[dim]{ignore} in a mask: the pixel is ignored. l_ and r_ are the subject's own sides.[/]")


def _print_map(screen: Console, src: LabelSet, dst: LabelSet, homes: Sequence[int]) -> None:
    grid = console.table(f"{src.name} -> {dst.name}", ">id", "", src.name, "", ">id", "", dst.name)
    for label in src.labels:
        home = dst.labels[homes[label.id]]
        name = home.name if home.name == label.name else f"[yellow]{home.name}[/]"
        grid.add_row(
            str(label.id), console.swatch(label.color), label.name, "->", str(home.id), console.swatch(home.color), name
        )
    screen.print(grid)
