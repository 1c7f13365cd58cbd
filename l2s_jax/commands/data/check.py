"""Look at every face: missing and damaged files, sizes that differ, unknown ids, classes that no face has,
faces that occur twice (also across splits), faces whose left and right are swapped. Nothing is changed.
The exit code is 2 if files must be fixed; findings to look at leave it at 0. The terminal names a few of
each kind, --json all of them.

examples:
  l2s data check folder:faces
  l2s data check 'lapa:LaPa?val' --json found.json
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING

from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from input_pipeline.audit.issues import Finding, ScannedSplit

_NAMED = 6  # faces named in a row of the table
_SENTENCES = 5  # printed for each kind that must be fixed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s data check`."""
    data = f"{arguments.DATA}; without ?split: all its splits together"
    parser.add_argument("data", metavar="DATA", nargs="+", help=data)
    arguments.add_json(parser, "every finding")
    arguments.add_jobs(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings and write `args.json`; return 2 if something must be fixed, otherwise 0."""
    from input_pipeline import files
    from input_pipeline.audit import issues
    from l2s_jax.commands.data.splits import open_splits, scan_splits

    if args.json is not None:
        files.writable_file(args.json)
    screen = console.out()
    parts = scan_splits(open_splits(args.data), args.jobs, screen)
    found = issues.inspect(parts)
    verdicts = {title: _verdicts(part) for title, part in parts.items()}
    _print(screen, parts, found, verdicts)
    if args.json is not None:
        files.replace_json(args.json, _to_json(args.data, parts, found, verdicts))
        screen.print(f"\nall findings  {console.escape(str(args.json))}", soft_wrap=True)
    return 2 if issues.has_errors(found) else 0


def _verdicts(part: ScannedSplit) -> dict[str, list[str]]:
    """Return the names of the labelled faces by verdict of the side test; empty for a label set without sides."""
    import numpy as np

    from input_pipeline.audit import sides

    stats, source = part.scan.stats, part.source
    if not sides.partners(source.label_set):
        return {}
    verdict = sides.verdicts(sides.separations(stats, source.label_set))
    labelled = stats["mask_size"].all(axis=1)
    order = (sides.Verdict.CORRECT, sides.Verdict.SWAPPED, sides.Verdict.MIXED, sides.Verdict.UNCLEAR)
    return {
        value.name.lower(): [source.names[k] for k in np.flatnonzero(labelled & (verdict == value))] for value in order
    }


def _print(
    screen: Console,
    parts: Mapping[str, ScannedSplit],
    found: Sequence[Finding],
    verdicts: Mapping[str, Mapping[str, list[str]]],
) -> None:
    from input_pipeline.audit.issues import KINDS

    for title, part in parts.items():
        screen.print(
            f"[bold]{console.escape(title or 'all')}[/]  {len(part.source)} faces, label set "
            f"{part.source.label_set.name}{_sides_line(verdicts[title])}",
            soft_wrap=True,
        )
    screen.print()
    if not found:
        screen.print("[green]nothing to fix, nothing to review[/]")
        return
    grid = console.table(None, "", "what", "split", ">count", "which")
    for (kind, split), group in itertools.groupby(found, key=lambda finding: (finding.kind, finding.split)):
        members = list(group)
        word = "[bold red]fix[/]" if KINDS[kind].is_error else "[yellow]review[/]"
        which = console.escape(_first_names(members))
        grid.add_row(word, KINDS[kind].title, console.escape(split or "all"), str(len(members)), which)
    screen.print(grid)
    for line in _sentences(found):
        screen.print(line, soft_wrap=True)


def _sides_line(verdicts: Mapping[str, list[str]]) -> str:
    counts = {name: len(names) for name, names in verdicts.items() if names}
    return f"  [dim]sides: {', '.join(f'{count} {name}' for name, count in counts.items())}[/]" if counts else ""


def _first_names(members: Sequence[Finding]) -> str:
    names = ", ".join(member.name for member in members[:_NAMED])
    return f"{names}, ..." if len(members) > _NAMED else names


def _sentences(found: Sequence[Finding]) -> Iterator[str]:
    """Yield a few findings of each kind as sentences: kinds that must be fixed, and copies, which need both names."""
    from input_pipeline.audit.issues import KINDS

    for kind, group in itertools.groupby(found, key=lambda finding: finding.kind):
        members = list(group)
        if not KINDS[kind].is_error and members[0].other is None:
            continue
        yield f"\n[bold]{KINDS[kind].title}[/]"
        for member in members[:_SENTENCES]:
            place = "/".join(filter(None, (member.split, member.name)))
            yield f"  {console.escape(place)}: {console.escape(member.detail)}"
        if len(members) > _SENTENCES:
            yield f"  [dim]... and {len(members) - _SENTENCES} more; --json FILE writes them all[/]"


def _to_json(
    specs: Sequence[str],
    parts: Mapping[str, ScannedSplit],
    found: Sequence[Finding],
    verdicts: Mapping[str, Mapping[str, list[str]]],
) -> dict:
    """Return the content of the `--json` file."""
    from input_pipeline.audit.issues import KINDS

    return {
        "data": list(specs),
        "fix": sum(KINDS[finding.kind].is_error for finding in found),
        "review": sum(not KINDS[finding.kind].is_error for finding in found),
        "splits": {
            title: {"faces": len(part.source), "label_set": part.source.label_set.name, "sides": verdicts[title]}
            for title, part in parts.items()
        },
        "findings": [
            {"severity": "fix" if KINDS[finding.kind].is_error else "review"} | finding._asdict() for finding in found
        ],
    }
