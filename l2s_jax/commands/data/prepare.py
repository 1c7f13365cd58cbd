"""Read a raw download and write sharded ArrayRecord files with a manifest: counts, class frequencies,
checksums, licence note. Works in parallel; run the same command again to resume. Photos are kept as they are
(their own bytes) unless --size asks for smaller ones.

Broken faces are listed in DIR/broken.jsonl; then no manifest is written and the exit code is 2, until they
are fixed or --skip-broken leaves them out.

examples:
  l2s data prepare CelebAMask-HQ --layout celebamask_hq --out records/celebamask
  l2s data prepare CelebAMask-HQ --layout celebamask_hq/farl --out records/celebamask_farl
  l2s data prepare faces --layout folder --out records/faces --size 512
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from input_pipeline.readers.records.manifest import Manifest
    from input_pipeline.readers.records.prepare import Broken, PrepareResult, Progress
    from l2s_jax.progress import Show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s data prepare`."""
    from input_pipeline.readers import downloads

    layouts = f"how SRC is laid out: {', '.join(downloads.NAMES)}"
    parser.add_argument("source", metavar="SRC", help="root folder of the download; local, or gs://bucket/folder")
    parser.add_argument("--layout", metavar="NAME[/VARIANT]", required=True, help=layouts)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the records")
    parser.add_argument("--splits", metavar="A,B", help="only these splits (default: all)")
    parser.add_argument(
        "--size", metavar="N", type=arguments.natural, help="shrink photos to N pixels (default: files as they are)"
    )
    parser.add_argument(
        "--shard-mb", metavar="N", type=arguments.natural, default=256, help="size of a shard (default: 256)"
    )
    arguments.add_jobs(parser)
    parser.add_argument("--skip-broken", action="store_true", help="leave broken faces out instead of stopping short")


def run(args: argparse.Namespace) -> int:
    """Write the records and print a summary; raise a UserError if broken faces prevent it, after listing them."""
    from input_pipeline.readers.records.prepare import open_data, prepare
    from l2s_jax import progress

    screen = console.out()
    _check_out(args)
    splits = [word.strip() for word in args.splits.split(",")] if args.splits is not None else None
    data = open_data(args.source, args.layout, splits)
    with progress.shown(screen, "writing faces", line_every=10) as show:
        made = prepare(
            data,
            args.out,
            size=args.size,
            shard_mb=args.shard_mb,
            jobs=args.jobs,
            skip_broken=args.skip_broken,
            progress=_with_speed(show),
        )
    if made.broken.count:
        _show_broken(console.errors(screen), made.broken)
    if made.manifest is None:
        raise _stopped(args, made)
    _show(screen, args, made.manifest)
    return 0


def _check_out(args: argparse.Namespace) -> None:
    from input_pipeline import files

    files.local(args.out)
    # Not Path.resolve, which raises on symlink loops.
    out, source = map(os.path.realpath, (args.out, os.path.expanduser(args.source)))
    if Path(out).is_relative_to(source):
        raise UserError(f"--out '{args.out}' lies in the source '{args.source}': choose another folder")


def _with_speed(show: Show) -> Callable[[Progress], None]:
    """Return a function that shows the progress with the speed of this run; faces of earlier runs do not count."""
    start, first = time.monotonic(), None

    def report(now: Progress) -> None:
        nonlocal start, first
        if first is None:
            start, first = time.monotonic(), now.done
        seconds = time.monotonic() - start
        notes = [f"{(now.done - first) / seconds:.0f} faces/s"] if seconds > 0.5 else []
        notes += [f"{now.broken} broken"] if now.broken else []
        show(now.done, now.total, ", ".join(notes))

    return report


def _show_broken(screen: Console, found: Broken) -> None:
    """Print the first broken faces, then the number of faces for each fault."""
    from input_pipeline.readers.records.prepare import SHOWN

    faces = console.table(None, "split", "face", "fault")
    for split, problem in found.first:
        faces.add_row(*(console.escape(text) for text in (split or "-", problem.name, problem.reason)))
    screen.print(faces)
    if found.count > len(found.first):
        screen.print(f"[dim]... and {found.count - len(found.first)} more[/]")
    reasons = console.table(None, ">faces", "fault")
    for reason, count in tuple(found.reasons.items())[:SHOWN]:
        reasons.add_row(str(count), console.escape(reason))
    screen.print()
    screen.print(reasons)


def _stopped(args: argparse.Namespace, made: PrepareResult) -> UserError:
    from input_pipeline.readers.records.prepare import BROKEN_FILE

    return UserError(
        f"{made.broken.count} faces cannot be stored, see '{args.out / BROKEN_FILE}'; no manifest was written: fix "
        "them and run the same command again (it rewrites only their shards), or leave them out with --skip-broken"
    )


def _show(screen: Console, args: argparse.Namespace, made: Manifest) -> None:
    """Print what was written, and the next command."""
    table = console.table(None, "split", ">faces", ">with masks", ">left out", ">shards", ">MB")
    for name, split in made.splits.items():
        megabytes = sum(stored.bytes for stored in split.files) / 1e6
        counts = (split.examples, split.labelled, split.broken, len(split.shards))
        table.add_row(console.escape(name or "-"), *map(str, counts), f"{megabytes:.1f}")
    screen.print(table)
    first = next(iter(made.splits))
    spec = f"records:{args.out}" + (f"?{first}" if first else "")
    screen.print(f"written to {console.escape(str(args.out))}", soft_wrap=True)
    screen.print(f"next: l2s data show '{console.escape(spec)}' --out faces.png", soft_wrap=True)
