"""The faces of parallel folders, their files paired by name."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.readers import photos
from input_pipeline.readers.listing import entries, stray
from input_pipeline.types import Problem

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")


class Part(NamedTuple):
    """One file that every face of a split must have.

    Attributes:
      title: its name in messages ("mask").
      directory: the folder of these files.
      endings: what may follow the face's name in a file name, in lower case.
    """

    title: str
    directory: epath.Path
    endings: tuple[str, ...]


class Paired(NamedTuple):
    """The faces of a split with their files.

    Attributes:
      names: of the faces that have every file, without duplicates, sorted.
      files: for each part, the file names in the order of `names`.
      problems: the other faces.
    """

    names: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]


def pair(*parts: Part) -> Paired:
    """Pair the files of parallel folders (or of one folder) by name, ignoring hidden files and other endings.

    Raises:
      UserError: a folder is missing, or no face has every file.
    """
    listings, strays = zip(*(_list(part) for part in parts), strict=True)
    problems = [problem for found in strays for problem in found]
    refused = {problem.name for problem in problems}
    names = []
    for name in sorted(set().union(*listings) - refused):
        if all(name in listing for listing in listings):
            names.append(name)
        else:
            problems.append(_incomplete(name, parts, listings))
    if not names:
        first = f"'{problems[0].path}' {problems[0].reason}" if problems else f"put {parts[0].title}s there"
        raise UserError(f"'{parts[0].directory}' holds no whole face ({', '.join(parts[0].endings)}): {first}")
    files = tuple(tuple(listing[name] for name in names) for listing in listings)
    return Paired(tuple(names), files, tuple(problems))


def find_home(root: epath.Path, name: str, splits: Sequence[str]) -> tuple[epath.Path, tuple[str, ...]]:
    """Return the folder of a download, and which of its possible `splits` exist.

    Args:
      root: the folder itself, or its parent.
      name: of the folder in its parent.
      splits: names of the sub-folders that may exist.

    Raises:
      UserError: neither has any of them.
    """
    for home in (root, root / name):
        found = tuple(split for split in splits if (home / split).is_dir())
        if found:
            return home, found
    raise UserError(f"'{root}' is not the folder {name}: it has no folder {' or '.join(splits)}; check the path")


def _list(part: Part) -> tuple[dict[str, str], list[Problem]]:
    """Return file names by the name of the face, and the files with unusable names."""
    found: dict[str, str] = {}
    problems = []
    for file in entries(part.directory):
        ending = next((e for e in part.endings if file.lower().endswith(e)), None)
        if ending is None:
            continue
        name = file[: -len(ending)]
        if not name or not name.isprintable():
            problems.append(stray(part.directory, file, "has a name that cannot be printed: rename it"))
        elif (obstacle := photos.obstacle_of(ending)) is not None:
            problems.append(Problem(name, str(part.directory / file), obstacle))
        elif found.setdefault(name, file) != file:
            reason = f"has, but for its ending, the same name as '{found[name]}': rename or remove one"
            problems.append(Problem(name, str(part.directory / file), reason))
    return found, problems


def _incomplete(name: str, parts: Sequence[Part], listings: Sequence[Mapping[str, str]]) -> Problem:
    """Return the problem of a face with missing files, at the path of the first file that it has."""
    path = next(part.directory / files[name] for part, files in zip(parts, listings, strict=True) if name in files)
    lacking = next(part for part, files in zip(parts, listings, strict=True) if name not in files)
    wanted = f"{lacking.directory.name}/{name}{lacking.endings[0]}"
    return Problem(name, str(path), f"has no {lacking.title} '{wanted}': add it, or remove the file")
