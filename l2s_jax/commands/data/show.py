"""Draw faces with their masks and landmarks laid over them, and a legend.

examples:
  l2s data show 'folder:faces?val' --out faces.png
  l2s data show 'folder:faces?train' --with-class hat --out hats.png
  l2s data show 'synthetic:100' --augment --out views.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from input_pipeline.errors import UserError, nearest, require
from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from input_pipeline.labels import LabelSet
    from input_pipeline.types import Example, Source

_RENDER, _VIEW, _SEED = 256, 256, 0  # pixels of rendered faces and of augmented views; seed of the views
_MOST = 1000  # maximum number of faces on a sheet


class _Shown(NamedTuple):
    names: list[str]
    examples: list[Example]
    broken: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s data show`."""
    parser.add_argument("data", metavar="DATA", help=arguments.DATA)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the picture, a PNG")
    parser.add_argument("--count", metavar="N", type=arguments.natural, default=24, help="faces (default: 24)")
    parser.add_argument("--names", metavar="A,B", help="these faces instead of --count evenly spaced ones")
    parser.add_argument("--with-class", metavar="NAME", help="only faces that have this class, e.g. hat")
    parser.add_argument("--augment", action="store_true", help="as training would see them (default augmentation)")


def run(args: argparse.Namespace) -> int:
    """Draw the sheet; unreadable faces are named, left out, and reported as a UserError at the end."""
    from input_pipeline import datasets, files
    from l2s_jax.report.contact_sheet import contact_sheet
    from l2s_jax.report.image_grid import png

    require(args.out.suffix.lower() == ".png", f"'{args.out}' does not end in .png: the sheet is a PNG file")
    require(args.count <= _MOST, f"--count {args.count} is more than the {_MOST} faces that fit one sheet")
    source = datasets.open_source(args.data, size=_RENDER, require_masks=False)
    indices = _choose(source, args)
    files.writable_file(args.out)
    screen = console.out()
    shown = _read(source, indices, args.augment, console.errors(screen))
    if shown.examples:
        views = ", as training sees them" if args.augment else ""
        title = f"{args.data}   {len(shown.examples)} of {len(source)} faces{views}   label set {source.label_set.name}"
        sheet = contact_sheet(title, shown.names, shown.examples, source.label_set)
        files.replace(args.out, png(sheet))
        screen.print(f"{len(shown.examples)} faces  {console.escape(str(args.out))}", soft_wrap=True)
    if shown.broken:
        names = ", ".join(shown.broken[:5]) + (", ..." if len(shown.broken) > 5 else "")
        raise UserError(f"{len(shown.broken)} of {len(indices)} faces could not be read and were left out: {names}")
    return 0


def _choose(source: Source, args: argparse.Namespace) -> Sequence[int]:
    """Return the indices of the named faces, or of evenly spaced ones, that show the requested class."""
    from input_pipeline import selection

    chosen = range(len(source))
    if args.names is not None:
        numbers = {name: index for index, name in enumerate(source.names)}
        chosen = [_find(name.strip(), numbers, args.data) for name in args.names.split(",")]
    if args.with_class is not None:
        class_id = _class_id(args.with_class, source.label_set)
        has_class = selection.presence(source)[:, class_id]
        chosen = [index for index in chosen if has_class[index]]
        require(chosen, f"none of these faces of '{args.data}' has '{source.label_set.names[class_id]}'")
    if args.names is not None:
        return chosen
    count = min(args.count, len(chosen))
    return [chosen[k * len(chosen) // count] for k in range(count)]


def _find(name: str, numbers: dict[str, int], data: str) -> int:
    if name not in numbers:
        hint = nearest(name, numbers, f"its faces have names like '{next(iter(numbers))}'", cutoff=0.6)
        raise UserError(f"'{data}' has no face '{name}': {hint}")
    return numbers[name]


def _class_id(word: str, label_set: LabelSet) -> int:
    """Find the id of a class by its name or its title."""
    for label in label_set.labels:
        if word in (label.name, label.title):
            return label.id
    words = [word for label in label_set.labels for word in (label.name, label.title)]
    hint = nearest(word, words, f"it has {', '.join(label_set.names)}")
    raise UserError(f"label set '{label_set.name}' has no class '{word}': {hint}")


def _read(source: Source, indices: Sequence[int], augment: bool, warnings: Console) -> _Shown:
    import numpy as np

    from input_pipeline import types
    from input_pipeline.images.augment import Augment, random_view
    from l2s_jax.report import contact_sheet

    _, side = contact_sheet.layout(len(indices))
    shown = _Shown([], [], [])
    for index in indices:
        name = source.names[index]
        try:
            example = types.read_reduced(source, index, _VIEW if augment else side)
            if augment:
                rng = np.random.default_rng((_SEED, index))
                example = random_view(example, Augment(), source.label_set, _VIEW, rng)
        except UserError as error:
            warnings.print(f"[red]left out:[/] {console.escape(str(error))}", soft_wrap=True)
            shown.broken.append(name)
            continue
        shown.names.append(name)
        shown.examples.append(example)
    return shown
