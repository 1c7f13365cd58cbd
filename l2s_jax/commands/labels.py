"""`l2s labels`: print the label sets, and how they map onto each other."""

import argparse

from rich.console import Console

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE, LabelSet
from l2s_jax.commands import console


def run(args: argparse.Namespace) -> int:
    """Print all sets, one set, or a mapping; a set together with a mapping is a UserError."""
    if args.set and args.map:
        raise UserError("`l2s labels` shows either one SET or one --map SRC DST")
    screen = console.out()
    if args.map:
        _map(screen, *map(labels.get, args.map))
    elif args.set:
        _classes(screen, labels.get(args.set))
    else:
        _all(screen)
    return 0


def _all(screen: Console) -> None:
    grid = console.table("label sets", "name", ">classes", "class names, in id order")
    for label_set in labels.LABEL_SETS.values():
        grid.add_row(f"[bold]{label_set.name}[/]", str(len(label_set)), " ".join(label_set.names))
    screen.print(grid)
    screen.print("\n[dim]l2s labels SET shows colours and flip partners; l_ and r_ are the subject's own sides.[/]")


def _classes(screen: Console, label_set: LabelSet) -> None:
    grid = console.table(f"label set {label_set.name}", ">id", "", "name", "meaning", "flips to", "RGB")
    for label in label_set.labels:
        partner = label.partner if label.partner in label_set.names else ""
        rgb = " ".join(f"{value:3d}" for value in label.color)
        grid.add_row(str(label.id), console.swatch(label.color), label.name, label.title, partner, f"[dim]{rgb}[/]")
    screen.print(grid)
    screen.print(f"\n[dim]{IGNORE} in a mask: the pixel is ignored. l_ and r_ are the subject's own sides.[/]")


def _map(screen: Console, src: LabelSet, dst: LabelSet) -> None:
    homes = labels.remap(src, dst)
    grid = console.table(f"{src.name} -> {dst.name}", ">id", "", src.name, "", ">id", "", dst.name)
    for label in src.labels:
        home = dst.labels[homes[label.id]]
        name = home.name if home.name == label.name else f"[yellow]{home.name}[/]"
        grid.add_row(
            str(label.id), console.swatch(label.color), label.name, "->", str(home.id), console.swatch(home.color), name
        )
    screen.print(grid)
