"""The files that `l2s parse` writes: what they are called, and how they are told from what anybody else put there.

Every result carries a mark, in the JSON as a field and in the PNGs as a text chunk. The mark says that `l2s parse`
wrote it, and for which photo (a digest of the photo's path, seen from the folder of the results: both may move
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
"""What follows the photo's name, in the order of writing."""

JSON_KEY, PNG_KEY = "written_by", "Software"
"""Where the mark stands."""

_PREFIX = "l2s parse, photo "
_MAX_JSON_BYTES = 1 << 20  # a description of the largest label set has 30 kB
_MAX_STEM_BYTES = 200  # a file name has 255, also the longer one under which it is written first


def mark(photo: Path, out: Path) -> str:
    """The mark of the results of a photo in the folder `out`."""
    path = os.path.join(os.path.realpath(photo.parent), photo.name)
    place = os.path.relpath(path, os.path.realpath(out))
    return _PREFIX + hashlib.sha256(os.fsencode(place)).hexdigest()[:32]


def is_result(path: Path) -> bool:
    """Whether `l2s parse` wrote this file, for whatever photo."""
    return path.name.endswith(ENDINGS) and _mark_of(path) is not None


def names(photos: Sequence[Path], out: Path) -> list[str]:
    """The name that the results of each photo get in `out`, unique in any letter case.

    It is the photo's stem, cut where it is too long. Where another photo has that name, of this run or an earlier one,
    a number follows (`-2`, `-3` ...); the name of an earlier run is kept. A photo that is alone with its stem is not
    pushed aside by the numbers of others.

    Raises:
      UserError: a file that `l2s parse` did not write lies where a result would go.
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
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _holders(out: Path, name: str) -> set[str]:
    """The marks of what lies where the results called `name` go."""
    found = set()
    for path in (out / f"{name}{ending}" for ending in ENDINGS):
        if os.path.lexists(path):
            holder = _mark_of(path)
            if holder is None:
                raise UserError(f"'{path}' was not written by `l2s parse` and is not replaced: choose another --out")
            found.add(holder)
    return found


def _mark_of(path: Path) -> str | None:
    """The mark of a result; None for any other file, readable or not."""
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
    with Image.open(path, formats=("PNG",)) as picture:  # reads up to the pixels, and no pixel
        return picture.info.get(PNG_KEY)
