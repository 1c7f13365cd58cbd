"""List the models in $L2S_MODELS, ./models and ~/.local/share/l2s_jax/models, and those of ./runs.
Every command takes them by the name shown here, or by path.

examples:
  l2s models
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from input_pipeline import licences
from input_pipeline.errors import UserError
from l2s_jax.commands import console

if TYPE_CHECKING:
    from l2s_jax.bundle import Meta


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: `l2s models` takes no arguments."""


def run(args: argparse.Namespace) -> int:
    """List every model of the search path and of ./runs; a damaged one is listed with the reason."""
    from l2s_jax import bundle

    screen = console.out()
    models = bundle.find_models()
    if not models:
        screen.print("There is no model here yet. `l2s demo` trains one on synthetic faces in a few minutes.")
        return 0
    grid = console.table(
        "models", "name", "system", "label set", ">image", ">parameters", ">mean F1", "measured on", "licence", "path"
    )
    broken = []
    for path, name in models.items():
        try:
            row = (*_row(name, bundle.read_meta(path)), str(path))
            grid.add_row(*map(console.escape, row))
        except UserError as error:
            broken.append(error)
    screen.print(grid)
    for error in broken:
        screen.print(f"[red]damaged:[/] {console.escape(str(error))}")
    screen.print("\n[dim]Use one by its name or path: l2s parse photo.jpg --out masks --model NAME[/]")
    return 0


def _row(name: str, meta: Meta) -> tuple[str, ...]:
    side = meta.preprocessing.image_size
    score = "-" if meta.mean_f1 is None else f"{meta.mean_f1:.3f}"
    data = str(meta.scores.get("data", "-"))
    data = data if len(data) <= 40 else f"...{data[-37:]}"  # the end names the data set and its split
    examples = meta.scores.get("examples")
    measured = f"{data} ({examples} faces)" if isinstance(examples, int) and data != "-" else data
    numbers = f"{meta.parameters / 1e6:.2f} M"
    return name, meta.system, meta.label_set.name, f"{side} px", numbers, score, measured, licences.short(meta.licence)
