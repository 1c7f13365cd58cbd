"""`l2s data prepare`: turn a raw download into sharded records."""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.readers.records.manifest import Manifest
from input_pipeline.readers.records.prepare import (
    BROKEN_FILE,
    SHOWN,
    Broken,
    PrepareResult,
    Progress,
    open_data,
    prepare,
)
from l2s_jax.commands import console

_PLAIN_SECONDS = 10  # between two progress lines without a terminal


def run(args: argparse.Namespace) -> int:
    """Write the records and print a summary; raise a UserError if broken faces prevent it, after listing them."""
    screen = console.out()
    _check_out(args)
    splits = [word.strip() for word in args.splits.split(",")] if args.splits is not None else None
    data = open_data(args.source, args.layout, splits)
    with _progress(screen) as progress:
        made = prepare(
            data,
            args.out,
            size=args.size,
            shard_mb=args.shard_mb,
            jobs=args.jobs,
            skip_broken=args.skip_broken,
            progress=progress,
        )
    if made.broken.count:
        _show_broken(console.errors(screen), made.broken)
    if made.manifest is None:
        raise _stopped(args, made)
    _show(screen, args, made.manifest)
    return 0


def _check_out(args: argparse.Namespace) -> None:
    files.local(args.out)
    # Not Path.resolve, which raises on symlink loops.
    out, source = map(os.path.realpath, (args.out, os.path.expanduser(args.source)))
    if Path(out).is_relative_to(source):
        raise UserError(f"--out '{args.out}' lies in the source '{args.source}': choose another folder")


@contextmanager
def _progress(screen: Console) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that draws the progress: a bar on a terminal, otherwise a line every few seconds."""
    if not screen.is_terminal:
        yield _Lines(screen)
        return
    columns = (
        TextColumn("writing faces"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[broken]}"),
    )
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=None, speed="", broken="")
        speed = _Speed()

        def draw(now: Progress) -> None:
            words = f"{now.broken} broken" if now.broken else ""
            bar.update(task, completed=now.done, total=now.total, speed=speed(now), broken=words)

        yield draw


class _Speed:
    """The speed of this run, `123 faces/s`; faces of earlier runs do not count."""

    def __init__(self):
        self._start, self._first = time.monotonic(), None

    def __call__(self, now: Progress) -> str:
        if self._first is None:
            self._start, self._first = time.monotonic(), now.done
        seconds = time.monotonic() - self._start
        return f"{(now.done - self._first) / seconds:.0f} faces/s" if seconds > 0.5 else ""


class _Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, screen: Console):
        self._screen, self._speed, self._printed = screen, _Speed(), time.monotonic()

    def __call__(self, now: Progress) -> None:
        speed = self._speed(now)
        if time.monotonic() - self._printed > _PLAIN_SECONDS:
            self._printed = time.monotonic()
            self._screen.print(f"{now.done} of {now.total} faces, {speed}, {now.broken} broken")


def _show_broken(screen: Console, found: Broken) -> None:
    """Print the first broken faces, then the number of faces for each fault."""
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
    return UserError(
        f"{made.broken.count} faces cannot be stored, see '{args.out / BROKEN_FILE}'; no manifest was written: fix "
        "them and run the same again (only their shards are written again), or leave them out with --skip-broken"
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
