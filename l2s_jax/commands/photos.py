"""List and read what `l2s parse` is given: photos, folders, standard input, films."""

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from input_pipeline import files
from input_pipeline.errors import UserError, require
from input_pipeline.images import decode, frames
from input_pipeline.readers import photos
from input_pipeline.types import Problem
from l2s_jax.commands import console, results

STDIN = Path("/dev/stdin")
"""The photo that `-` names."""

CAMERA = re.compile(r"camera:(\d{1,3})")
"""The name of a camera that is connected."""

_MOST_BYTES = 1 << 28  # of a photo from standard input: one of 100 megapixels without compression has 300 MB


class Found(NamedTuple):
    """A photo or a film, and where its results belong.

    Attributes:
      path: as the user named it, or below a folder that the user named.
      folder: of its results, relative to the folder of all results: its place below the named folder.
    """

    path: Path
    folder: Path


class Listed(NamedTuple):
    """What the command line names.

    Attributes:
      photos: in the order of the command line; of a folder, its own in name order, then those of its subfolders.
      films: videos and cameras, in the same order.
      passed_over: files in folders that look like photos but cannot be read, and folders that cannot be.
      results: number of files left out because `l2s parse` wrote them.
    """

    photos: list[Found]
    films: list[Found]
    passed_over: list[Problem]
    results: int


def list_photos(inputs: Sequence[Path], *, deep: bool = True) -> Listed:
    """List the files of the command line and the photos in its folders, except files that `l2s parse` wrote.

    Args:
      inputs: files, folders, STDIN and names of cameras.
      deep: folders with their subfolders (hidden ones and links are left out).

    Raises:
      UserError: a path is missing or cannot be read.
    """
    found, films, passed_over = [], [], []
    for path in inputs:
        if CAMERA.fullmatch(str(path)) and not path.exists():
            films.append(Found(path, Path()))
        elif _is_folder(path):
            for folder in _folders(path) if deep else [path]:
                inside, obstacles = _photos_in(folder, path)
                found += [Found(photo, folder.relative_to(path)) for photo in inside]
                passed_over += obstacles
        else:
            (films if _is_film(path) else found).append(Found(path, Path()))
    wanted = [each for each in found if not results.is_result(each.path)]
    return Listed(wanted, films, passed_over, len(found) - len(wanted))


def check_any(listed: Listed, inputs: Sequence[Path]) -> None:
    """Check that there is something to parse.

    Raises:
      UserError: there is nothing.
    """
    if listed.photos or listed.films:
        return
    require(not listed.results, f"'{inputs[0]}' holds only results of `l2s parse`: name the photos themselves")
    lost = [f"'{problem.path}' {problem.reason}" for problem in listed.passed_over]
    raise UserError(f"the folder '{inputs[0]}' holds no photos ({lost[0] if lost else ', '.join(photos.SUFFIXES)})")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(files.local(path)).st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"there is no photo or folder '{path}'") from error
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error


def _is_film(path: Path) -> bool:
    try:
        return path.is_file() and frames.is_video(path)
    except UserError:
        return False  # reading it as a photo says why it cannot be read


def _folders(folder: Path) -> Iterator[Path]:
    """Yield a folder and all below it, each before its subfolders, in name order."""
    waiting = [folder]
    while waiting:
        yield (here := waiting.pop())
        try:
            below = [entry for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # `_photos_in` says so
        waiting += sorted((here / entry.name for entry in below if entry.name[0] != "."), reverse=True)


def _photos_in(folder: Path, top: Path) -> photos.Photos:
    """Return the photos of one folder; a folder below `top` that cannot be read is passed over."""
    try:
        return photos.list_photos(folder)
    except UserError as error:
        if folder == top:
            raise
        reason = f"cannot be read ({error.__cause__}): check its rights"
        return photos.Photos([], [Problem(folder.name, str(folder), reason)])


def read(path: Path) -> np.ndarray:
    """Read a photo: uint8 [H, W, 3], upright.

    Raises:
      UserError: it cannot be read.
    """
    return decode.read_image(_standard_input() if path == STDIN else path)


def _standard_input() -> decode.Encoded:
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("nothing comes on standard input: `l2s parse - < photo.jpg` gives it a photo")
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UserError(f"standard input is longer than {_MOST_BYTES} bytes: make a smaller copy of the photo")
    return decode.Encoded("standard input", data)


def warn(warnings: Console, sentence: str) -> None:
    """Report a photo that is skipped."""
    warnings.print(f"[red]skipped:[/] {console.escape(sentence)}", soft_wrap=True)
