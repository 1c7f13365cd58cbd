"""The result files of `l2s parse` and `l2s edit`: their names, and the mark that distinguishes them from other files.

Every result carries a mark: in the JSON as a field, in PNGs as a text chunk, in GIFs as the comment, in MP4s as a box
at the end that players skip. The mark says which command wrote the file, and for which photo or with which arguments (a
digest, in which paths are relative to the results folder: photos and results may move together). A file without the
mark is never replaced.
"""

import hashlib
import io
import itertools
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from input_pipeline.errors import UserError

JSON_KEY, PNG_KEY, GIF_KEY = "written_by", "Software", "comment"
"""Field, text chunk and comment that hold the mark."""

_PARSE, _EDIT = "l2s parse", "l2s edit"
_MP4_BOX = b"free"  # free space, of ISO/IEC 14496-12
_MP4_END = 256  # bytes at the end of an MP4 among which the mark is
_MAX_JSON_BYTES = 1 << 20  # a description takes 30 kB for the largest label set
_MAX_STEM_BYTES = 200  # a file name may have 255, and the temporary name is longer


def mark(photo: Path, out: Path) -> str:
    """Return the mark of the results of `l2s parse` for a photo in the folder `out`."""
    return f"{_PARSE}, photo {_digest(os.fsencode(_place(photo, out)))}"


def edit_mark(verb: str, arguments: Mapping[str, object], out: Path) -> str:
    """Return the mark of the results of `l2s edit VERB` in the folder `out`: equal for equal arguments.

    Args:
      verb: the verb.
      arguments: by name; paths are those of photos, the others are whatever JSON knows.
      out: folder of the results.
    """

    def stable(value: object) -> object:
        if isinstance(value, Path):
            return _place(value, out)
        if isinstance(value, Mapping):
            return {name: stable(item) for name, item in value.items()}
        return [stable(item) for item in value] if isinstance(value, list | tuple) else value

    return f"{_EDIT}, {verb} {_digest(json.dumps(stable(arguments), sort_keys=True).encode())}"


def _place(photo: Path, out: Path) -> str:
    """Return the path of a photo relative to `out`; links of folders are followed."""
    return os.path.relpath(os.path.join(os.path.realpath(photo.parent), photo.name), os.path.realpath(out))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def is_result(path: Path) -> bool:
    """Tell whether `l2s parse` wrote this file, for any photo."""
    return _mark_of(path, _PARSE) is not None


def is_edit(path: Path) -> bool:
    """Tell whether `l2s edit` wrote this file."""
    return _mark_of(path, _EDIT) is not None


def png(picture: Image.Image, mark: str) -> bytes:
    """Encode a picture as PNG with a mark."""
    buffer, text = io.BytesIO(), PngInfo()
    text.add_text(PNG_KEY, mark)
    picture.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def mp4_box(mark: str) -> bytes:
    """Return the box that marks an MP4 file when it is appended."""
    content = mark.encode()
    return (8 + len(content)).to_bytes(4, "big") + _MP4_BOX + content


def names(photos: Sequence[tuple[Path, Path]], out: Path, endings: Sequence[str]) -> list[str]:
    """Choose the name of each photo's results in `out`, unique regardless of letter case.

    It is the photo's folder and stem, cut if it is too long. If another photo of this run or an earlier one has that
    name, a number follows (`-2`, `-3` ...); a photo keeps its name from an earlier run. A numbered name never equals
    the stem of another photo.

    Args:
      photos: each with the folder of its results, relative to `out`.
      out: folder of the results.
      endings: suffixes of the result files.

    Returns:
      `FOLDER/STEM` of each.

    Raises:
      UserError: a file that `l2s parse` did not write has the name of a result.
    """
    wanted = [str(folder / _cut(photo.stem)) for photo, folder in photos]
    stems = set(map(_same, wanted))
    taken: set[str] = set()
    chosen = []
    for (photo, _), stem in zip(photos, wanted, strict=True):
        own = mark(photo, out)
        for name in _candidates(stem):
            reserved = name != stem and _same(name) in stems
            if _same(name) not in taken and not reserved and _holders(out, name, endings, _PARSE) <= {own}:
                break
        taken.add(_same(name))
        chosen.append(name)
    return chosen


def claim(path: Path, own: str) -> Path:
    """Check that a result with the mark `own` may be written to `path`; return it.

    Raises:
      UserError: another file is there.
    """
    if os.path.lexists(path) and _mark_of(path, _PARSE) != own:
        raise UserError(f"'{path}' was not written by `{_PARSE}` for the same photo: choose another --out")
    return path


def edit_name(stem: str, verb: str, endings: Sequence[str], own: str, out: Path) -> str:
    """Choose the name of an edit's results: STEM_VERB, or STEM_VERB-2 ... where results of other arguments have it.

    Args:
      stem: stem of the edited photo, cut if it is too long.
      verb: the verb.
      endings: suffixes of the result files.
      own: the mark of these results; those that carry it already are replaced.
      out: folder of the results.

    Raises:
      UserError: a file that `l2s edit` did not write has the name of a result.
    """
    names = _candidates(f"{_cut(stem)}_{verb}")
    return next(name for name in names if _holders(out, name, endings, _EDIT) <= {own})


def _candidates(stem: str) -> Iterator[str]:
    return itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))


def _cut(stem: str) -> str:
    while len(os.fsencode(stem)) > _MAX_STEM_BYTES:
        stem = stem[:-1]
    return stem


def _same(name: str) -> str:
    """Return a key that is equal for names that some file system treats as one."""
    return unicodedata.normalize("NFC", name).casefold()


def _holders(out: Path, name: str, endings: Sequence[str], command: str) -> set[str]:
    """Return the marks of existing files with the names of a command's results called `name`."""
    found = set()
    for path in (out / f"{name}{ending}" for ending in endings):
        if os.path.lexists(path):
            holder = _mark_of(path, command)
            if holder is None:
                raise UserError(f"'{path}' was not written by `{command}` and is not replaced: choose another --out")
            found.add(holder)
    return found


def _mark_of(path: Path, command: str) -> str | None:
    """Read the mark of a command's result; None for any other file, readable or not."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        found = _READERS[path.suffix](path) if path.suffix in _READERS else None
    except (OSError, ValueError, RecursionError, SyntaxError, UnidentifiedImageError):
        return None
    return found if isinstance(found, str) and found.startswith(f"{command}, ") else None


def _in_json(path: Path) -> object:
    with path.open("rb") as file:
        text = file.read(_MAX_JSON_BYTES + 1)
    content = json.loads(text) if len(text) <= _MAX_JSON_BYTES else None
    return content.get(JSON_KEY) if isinstance(content, dict) else None


def _in_picture(path: Path) -> object:
    with Image.open(path, formats=("PNG", "GIF")) as picture:  # reads the header only, no pixels
        found = picture.info.get(PNG_KEY if picture.format == "PNG" else GIF_KEY)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def _in_film(path: Path) -> object:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MP4_END))
        return file.read(_MP4_END).rpartition(_MP4_BOX)[2].decode("utf-8", "replace")


_READERS = {".json": _in_json, ".png": _in_picture, ".gif": _in_picture, ".mp4": _in_film}
"""Files of other suffixes carry no mark."""
