"""The result files of `l2s parse`: their names, and the mark that distinguishes them from other files.

Every result carries a mark, in the JSON as a field and in the PNGs as a text chunk. The mark says that `l2s parse`
wrote the file, and for which photo (a digest of the photo's path relative to the results folder: both may move
together). A file without the mark is never replaced.
"""

import hashlib
import itertools
import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from input_pipeline.errors import UserError

ENDINGS = ("_overlay.png", "_labels.png", ".json")
"""Suffixes of the result files, in the order of writing."""

JSON_KEY, PNG_KEY = "written_by", "Software"
"""Field and text chunk that hold the mark."""

_PREFIX = "l2s parse, photo "
_MAX_JSON_BYTES = 1 << 20  # a description takes 30 kB for the largest label set
_MAX_STEM_BYTES = 200  # a file name may have 255, and the temporary name is longer


def mark(photo: Path, out: Path) -> str:
    """Return the mark of the results of a photo in the folder `out`."""
    path = os.path.join(os.path.realpath(photo.parent), photo.name)
    place = os.path.relpath(path, os.path.realpath(out))
    return _PREFIX + hashlib.sha256(os.fsencode(place)).hexdigest()[:32]


def is_result(path: Path) -> bool:
    """Tell whether `l2s parse` wrote this file, for any photo."""
    return path.name.endswith(ENDINGS) and _mark_of(path) is not None


def names(photos: Sequence[Path], out: Path) -> list[str]:
    """Choose the name of each photo's results in `out`, unique regardless of letter case.

    It is the photo's stem, cut if it is too long. If another photo of this run or an earlier one has that name, a
    number follows (`-2`, `-3` ...); a photo keeps its name from an earlier run. A numbered name never equals the stem
    of another photo.

    Raises:
      UserError: a file that `l2s parse` did not write has the name of a result.
    """
    stems = {_same(_stem(photo)) for photo in photos}
    taken: set[str] = set()
    chosen = []
    for photo in photos:
        own = mark(photo, out)
        for name in _candidates(_stem(photo)):
            reserved = name != _stem(photo) and _same(name) in stems
            if _same(name) not in taken and not reserved and _holders(out, name) <= {own}:
                break
        taken.add(_same(name))
        chosen.append(name)
    return chosen


def _candidates(stem: str) -> Iterator[str]:
    return itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))


def _stem(photo: Path) -> str:
    stem = photo.stem
    while len(os.fsencode(stem)) > _MAX_STEM_BYTES:
        stem = stem[:-1]
    return stem


def _same(name: str) -> str:
    """Return a key that is equal for names that some file system treats as one."""
    return unicodedata.normalize("NFC", name).casefold()


def _holders(out: Path, name: str) -> set[str]:
    """Return the marks of existing files with the names of the results called `name`."""
    found = set()
    for path in (out / f"{name}{ending}" for ending in ENDINGS):
        if os.path.lexists(path):
            holder = _mark_of(path)
            if holder is None:
                raise UserError(f"'{path}' was not written by `l2s parse` and is not replaced: choose another --out")
            found.add(holder)
    return found


def _mark_of(path: Path) -> str | None:
    """Read the mark of a result; None for any other file, readable or not."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        found = _in_json(path) if path.suffix == ".json" else _in_png(path)
    except (OSError, ValueError, RecursionError, SyntaxError, UnidentifiedImageError):
        return None
    return found if isinstance(found, str) and found.startswith(_PREFIX) else None


def _in_json(path: Path) -> object:
    with path.open("rb") as file:
        text = file.read(_MAX_JSON_BYTES + 1)
    content = json.loads(text) if len(text) <= _MAX_JSON_BYTES else None
    return content.get(JSON_KEY) if isinstance(content, dict) else None


def _in_png(path: Path) -> object:
    with Image.open(path, formats=("PNG",)) as picture:  # reads the header only, no pixels
        return picture.info.get(PNG_KEY)
