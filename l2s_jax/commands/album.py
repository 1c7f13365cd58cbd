"""Parse photos in batches, skip what cannot be read or is done, and wait for more."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from input_pipeline.errors import UserError
from l2s_jax import progress
from l2s_jax.commands import mask_files, photos, results
from l2s_jax.commands.mask_files import Photo
from l2s_jax.commands.photos import Found, Listed
from l2s_jax.commands.tally import Tally
from l2s_jax.inference.parser import Parser

_PAUSE = 1.0  # seconds between two looks at a folder


class Task(NamedTuple):
    """What is done with every photo.

    Attributes:
      parser: the model.
      out: folder of the results.
      drawn: pictures that are written.
      options: all that they depend on besides photo and model, see `mask_files.options`.
      batch_size: photos at a time.
      tally: where it is told and counted.
    """

    parser: Parser
    out: Path
    drawn: mask_files.Drawn
    options: dict
    batch_size: int
    tally: Tally


def warm_up(parser: Parser, batch_size: int) -> float:
    """Compile the program of this batch size; return the seconds it took."""
    start = time.perf_counter()
    parser.compile(batch_size)
    return time.perf_counter() - start


def parse(task: Task, found: Sequence[Found], names: Sequence[str], *, skip_done: bool = False) -> None:
    """Parse photos and write their results; those that cannot be read are told and skipped.

    Args:
      task: what to do.
      found: the photos.
      names: of their results, at least as many.
      skip_done: leave out photos whose results are there.

    Raises:
      UserError: a file cannot be written.
    """
    tally, before = task.tally, task.tally.seen
    with progress.shown(tally.screen, "parsing") as show:
        readable = _readable(task, found, names, skip_done)
        while chunk := list(itertools.islice(readable, task.batch_size)):
            start = time.perf_counter()
            parsings = list(task.parser.batch([photo.pixels for photo in chunk], task.batch_size))
            parse_ms = (time.perf_counter() - start) * 1e3 / len(chunk)
            for photo, parsing in zip(chunk, parsings, strict=True):
                facts = mask_files.facts(photo, parsing, task.parser, task.options, parse_ms)
                mask_files.write(task.out, photo, parsing, task.drawn, facts)
                tally.add(mask_files.line(photo, parsing, parse_ms), facts)
                show(tally.seen - before, len(found))


def _readable(task: Task, found: Sequence[Found], names: Sequence[str], skip_done: bool) -> Iterator[Photo]:
    endings = list(task.drawn)
    sha256 = task.parser.model.meta.sha256
    for (path, _), name in zip(found, names, strict=False):
        if skip_done and mask_files.is_done(task.out, path, name, endings, sha256, task.options):
            task.tally.keep()
            continue
        start = time.perf_counter()
        try:
            pixels = photos.read(path)
        except UserError as error:
            task.tally.skip(path, error)
            continue
        yield Photo(path, name, results.mark(path, task.out), pixels, (time.perf_counter() - start) * 1e3)


def watch(task: Task, inputs: Sequence[Path], listed: Listed) -> None:
    """Parse what is new or has changed in the folders, until the user interrupts.

    Args:
      task: what to do.
      inputs: as for `photos.list_photos`.
      listed: what is parsed already.

    Raises:
      UserError: as `parse` and `photos.list_photos`.
    """
    arrivals = Arrivals(photo.path for photo in listed.photos)
    task.tally.screen.print("[dim]watching; Ctrl-C ends[/]")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(_PAUSE)
            found = photos.list_photos(inputs).photos
            settled = arrivals.settled([photo.path for photo in found])
            fresh = [photo for photo in found if photo.path in settled]
            if fresh:
                names = results.names(fresh, task.out, [*task.drawn, mask_files.FACTS])
                parse(task, fresh, names)


class Arrivals:
    """Tells which files are new or have changed, once they have lain still from one look to the next: a photo that is
    being copied is not read.

    Args:
      known: files that are not new.
    """

    def __init__(self, known: Iterator[Path]):
        self._seen = {path: _state(path) for path in known}
        self._taken = dict(self._seen)

    def settled(self, paths: Sequence[Path]) -> set[Path]:
        """Look at the files; return those to take now."""
        states = {path: _state(path) for path in paths}
        still = {path for path, state in states.items() if state is not None and self._seen.get(path) == state}
        settled = {path for path in still if self._taken.get(path) != states[path]}
        self._seen = states
        self._taken |= {path: states[path] for path in settled}
        return settled


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of the last change; None for a file that has gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
