"""Count faces and classes: in how many faces each class occurs, how many pixels it has, and how large it is in
the faces that have it (median). Records are counted at once from their manifest, but without the median;
--recount reads them face by face.

examples:
  l2s data stats folder:faces
  l2s data stats 'records:records/celebamask?train'
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from rich.table import Table

    from input_pipeline.audit.class_counts import ClassCounts
    from input_pipeline.labels import LabelSet

_BAR, _BESIDE = 20, 75  # characters: a full bar (every face has the class), all other columns
_SIZES = 4  # up to this many image sizes are listed, otherwise their range
_SPREAD = ("smallest", "median", "largest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s data stats`."""
    parser.add_argument("data", metavar="DATA", nargs="+", help=f"{arguments.DATA}; without ?split: all its splits")
    parser.add_argument("--recount", action="store_true", help="read every face of records too, see above")
    arguments.add_json(parser, "the numbers")
    arguments.add_jobs(parser)


def run(args: argparse.Namespace) -> int:
    """Print a table for each split; write `args.json`."""
    from input_pipeline import files, types
    from input_pipeline.audit import class_counts
    from l2s_jax.commands.data.splits import open_splits, scan_splits

    if args.json is not None:
        files.writable_file(args.json)
    screen = console.out()
    splits = open_splits(args.data)
    counts = {} if args.recount else {title: class_counts.stored(o.source, o.split) for title, o in splits.items()}
    unknown = {title: opened for title, opened in splits.items() if counts.get(title) is None}
    parts = scan_splits(unknown, args.jobs, screen)
    counts |= {title: class_counts.count(part.scan.stats) for title, part in parts.items()}
    for title, opened in splits.items():
        screen.print(f"[bold]{console.escape(title or 'all')}[/]  {_summary(counts[title])}", soft_wrap=True)
        screen.print(_classes(counts[title], opened.source.label_set, screen.width))
        if left_out := len(opened.source) - counts[title].faces + len(types.problems(opened.source)):
            screen.print(f"[yellow]{left_out} faces are broken and not counted: `l2s data check` names them[/]")
        screen.print()
    if args.json is not None:
        stats = {title: _to_json(counts[title], opened.source.label_set) for title, opened in splits.items()}
        files.replace_json(args.json, {"data": list(args.data), "splits": stats})
        screen.print(f"numbers  {console.escape(str(args.json))}", soft_wrap=True)
    return 0


def _summary(counts: ClassCounts) -> str:
    unlabelled = f", {counts.faces - counts.labelled} without mask" if counts.labelled < counts.faces else ""
    return f"{counts.faces} faces{unlabelled}  [dim]{_sizes(counts)}[/]"


def _sizes(counts: ClassCounts) -> str:
    """Format the image sizes, width x height; their range if there are many, or single ones are not known."""
    if counts.image_sizes is not None and len(counts.image_sizes) <= _SIZES:
        many = len(counts.image_sizes) > 1
        return ", ".join(f"{w}x{h}" + f" ({faces})" * many for (h, w), faces in counts.image_sizes.items())
    smallest, median, largest = (f"{w}x{h}" for h, w in zip(counts.heights, counts.widths, strict=True))
    return smallest if smallest == largest else f"{smallest} to {largest}, median {median}"


def _classes(counts: ClassCounts, label_set: LabelSet, width: int) -> Table:
    """Make the table of classes.

    Median share: the class's fraction of the mask, median over the faces that have it; no column if none is known.
    """
    longest = min(_BAR, max(width - _BESIDE, 4))  # a narrow terminal would cut all long bars to one length
    medians = [_median(counts, label.id) for label in label_set.labels]
    known = any(median is not None for median in medians)
    columns = ("", "class", "", ">faces", ">", "", ">pixels", *([">median share"] if known else []))
    grid = console.table(f"label set {label_set.name}", *columns)
    for label, median in zip(label_set.labels, medians, strict=True):
        share = _share(counts.presence[label.id], counts.labelled)
        grid.add_row(
            console.swatch(label.color),
            label.name,
            f"[dim]{label.title}[/]",
            str(counts.presence[label.id]),
            "-" if share is None else console.percent(share),
            "█" * round(longest * (share or 0)),
            _percent(_share(counts.pixels[label.id], _area(counts))),
            *([_percent(median)] if known else []),
        )
    if counts.ignored:
        grid.add_row("", "[dim]ignored[/]", "", "", "", "", _percent(_share(counts.ignored, _area(counts))))
    return grid


def _area(counts: ClassCounts) -> int:
    return int(counts.pixels.sum()) + counts.ignored


def _median(counts: ClassCounts, class_id: int) -> float | None:
    share = math.nan if counts.median_share is None else counts.median_share[class_id]
    return None if math.isnan(share) else float(share)


def _share(part: int, whole: int) -> float | None:
    return int(part) / whole if whole else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _to_json(counts: ClassCounts, label_set: LabelSet) -> dict:
    """Return the `--json` entry of a split; shares are fractions, null if not known."""
    sizes = counts.image_sizes
    classes = {
        label.name: {
            "id": label.id,
            "faces": int(counts.presence[label.id]),
            "face_share": _share(counts.presence[label.id], counts.labelled),
            "pixels": int(counts.pixels[label.id]),
            "pixel_share": _share(counts.pixels[label.id], _area(counts)),
            "median_share": _median(counts, label.id),
        }
        for label in label_set.labels
    }
    return {
        "faces": counts.faces,
        "labelled": counts.labelled,
        "label_set": label_set.name,
        "heights": dict(zip(_SPREAD, counts.heights, strict=True)),
        "widths": dict(zip(_SPREAD, counts.widths, strict=True)),
        "image_sizes": None
        if sizes is None
        else [{"height": h, "width": w, "faces": n} for (h, w), n in sizes.items()],
        "ignored_pixels": counts.ignored,
        "classes": classes,
    }
