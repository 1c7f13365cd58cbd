"""Faces whose photo, mask and landmarks are files of their own: match them by name, and read them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from input_pipeline.errors import UserError, require
from input_pipeline.images.decode import check_ids, read_drawing, read_mask
from input_pipeline.labels import LabelSet
from input_pipeline.readers import photos
from input_pipeline.readers.listing import entries, read_text, stray
from input_pipeline.types import Problem

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")

_FARTHEST = 1e6  # pixels; hidden points may lie outside of the photo, but no point of a face lies this far away


class FileRole(NamedTuple):
    """One file that every face of a split must have.

    Attributes:
      title: its name in messages ("mask").
      directory: the folder of these files.
      endings: what may follow the face's name in a file name, in lower case.
    """

    title: str
    directory: epath.Path
    endings: tuple[str, ...]


class Matched(NamedTuple):
    """The faces of a split with their files.

    Attributes:
      names: of the faces that have every file, without duplicates, sorted.
      folders: the folder of each role.
      files: for each role, the file names in the order of `names`.
      problems: the other faces.
    """

    names: tuple[str, ...]
    folders: tuple[epath.Path, ...]
    files: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value
class MatchedSplit:
    """One split of matched files, see `layout.RawSplit`.

    Attributes:
      label_set, licence: see `layout.RawSplit`.
      matched: the faces; the first role is the photo.
      mask_reader, landmark_reader: (the split, index) -> see `layout.RawSplit`; module-level functions, since worker
        processes import them.
    """

    label_set: LabelSet
    matched: Matched
    mask_reader: Callable[["MatchedSplit", int], np.ndarray | None]
    landmark_reader: Callable[["MatchedSplit", int], np.ndarray] | None = None
    licence: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """See `layout.RawSplit`."""
        return self.matched.names

    @property
    def problems(self) -> tuple[Problem, ...]:
        """See `layout.RawSplit`."""
        return self.matched.problems

    def path(self, role: int, index: int) -> epath.Path:
        """Return the path of a face's file."""
        return self.matched.folders[role] / self.matched.files[role][index]

    def image_path(self, index: int) -> epath.Path:
        """See `layout.RawSplit`."""
        return self.path(0, index)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `layout.RawSplit`."""
        return self.mask_reader(self, index)

    def read_landmarks(self, index: int) -> np.ndarray | None:
        """See `layout.RawSplit`."""
        return None if self.landmark_reader is None else self.landmark_reader(self, index)


def match_by_name(*roles: FileRole) -> Matched:
    """Match the files of parallel folders (or of one folder) by name, ignoring hidden files and other endings.

    Raises:
      UserError: a folder is missing, or no face has every file.
    """
    listings, strays = zip(*map(_list, roles), strict=True)
    problems = [problem for found in strays for problem in found]
    refused = {problem.name for problem in problems}
    names = []
    for name in sorted(set().union(*listings) - refused):
        if all(name in listing for listing in listings):
            names.append(name)
        else:
            problems.append(_incomplete(name, roles, listings))
    if not names:
        first = f"'{problems[0].path}' {problems[0].reason}" if problems else f"put {roles[0].title}s there"
        raise UserError(f"'{roles[0].directory}' holds no whole face ({', '.join(roles[0].endings)}): {first}")
    files = tuple(tuple(listing[name] for name in names) for listing in listings)
    return Matched(tuple(names), tuple(role.directory for role in roles), files, tuple(problems))


def read_ids(split: MatchedSplit, index: int) -> np.ndarray:
    """Read the mask of a face, the second role, whose values are ids of the label set.

    Raises:
      UserError: a damaged file, or an id outside the label set.
    """
    path = split.path(1, index)
    return check_ids(read_mask(path), split.label_set, str(path))


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


def find_splits(root: epath.Path, name: str, form: str) -> tuple[str, ...]:
    """Return the sub-folders of `root` that have a folder `name`; () if `root` itself has one.

    Args:
      root: of a data set.
      name: of a folder that every split has.
      form: what a data set looks like, for the sentence.

    Raises:
      UserError: there is no such folder.
    """
    inside = entries(root)
    found = tuple(each for each in inside if name not in inside and (root / each / name).is_dir())
    require(found or name in inside, f"'{root}' has no folder '{name}': {form}")
    return found


def check_shapes(shape: tuple[int, int], path: epath.Path, expected: tuple[int, int], other: str) -> None:
    """Check that two images of a face, [H, W], have one shape.

    Args:
      shape: of the image at `path`.
      path: the image.
      expected: shape of the other image.
      other: that image, for the sentence.

    Raises:
      UserError: they differ.
    """
    require(
        shape == expected,
        f"'{path}' has {shape[1]} x {shape[0]} pixels, but {other} has {expected[1]} x {expected[0]}: they must be "
        "equal, replace the wrong one",
    )


def _list(role: FileRole) -> tuple[dict[str, str], list[Problem]]:
    """Return file names by the name of the face, and the files with unusable names."""
    found: dict[str, str] = {}
    problems = []
    for file in entries(role.directory):
        ending = next((e for e in role.endings if file.lower().endswith(e)), None)
        if ending is None:
            continue
        name = file[: -len(ending)]
        if not name or not name.isprintable():
            problems.append(stray(role.directory, file, "has a name that cannot be printed: rename it"))
        elif (obstacle := photos.obstacle_of(ending)) is not None:
            problems.append(Problem(name, str(role.directory / file), obstacle))
        elif found.setdefault(name, file) != file:
            reason = f"has, but for its ending, the same name as '{found[name]}': rename or remove one"
            problems.append(Problem(name, str(role.directory / file), reason))
    return found, problems


def _incomplete(name: str, roles: Sequence[FileRole], listings: Sequence[Mapping[str, str]]) -> Problem:
    """Return the problem of a face with missing files, at the path of the first file that it has."""
    path = next(role.directory / files[name] for role, files in zip(roles, listings, strict=True) if name in files)
    lacking = next(role for role, files in zip(roles, listings, strict=True) if name not in files)
    wanted = f"{lacking.directory.name}/{name}{lacking.endings[0]}"
    return Problem(name, str(path), f"has no {lacking.title} '{wanted}': add it, or remove the file")


def read_points(path: epath.Path, count: int) -> np.ndarray:
    """Read float32 [count, 2] (x, y) from a text file of 2 * `count` numbers separated by blanks or lines.

    Raises:
      UserError: no such file, something that is not a number, another number of points, or a point more than a million
        pixels away.
    """
    return parse_points(read_text(path).split(), count, str(path))


def parse_points(words: list[str], count: int, name: str) -> np.ndarray:
    """Parse the words of a file called `name` as `read_points` does."""
    fault = None
    try:
        points = np.array([float(word) for word in words])
    except ValueError as error:
        fault = f"something that is no number ({error})"
    if len(words) != 2 * count:
        fault = f"{len(words)} numbers instead of {2 * count} ({count} points x y)"
    elif fault is None and not (np.abs(points) <= _FARTHEST).all():
        fault = "a point that lies far outside of any picture"
    require(fault is None, f"'{name}' holds {fault}: replace the file")
    return points.reshape(count, 2).astype(np.float32)


def merge_parts(parts: Iterable[tuple[int, epath.Path]]) -> np.ndarray:
    """Merge part masks, which may overlap, into a label map.

    Args:
      parts: class id and file of each part, at least one, in paint order: a later part covers an earlier one. A pixel
        belongs to the part where the image (grey, RGB or palette) is not black; an all-black part changes nothing.

    Returns:
      uint8 [H, W], 0 where no part is.

    Raises:
      UserError: a file that cannot be read or has a lossy coding, or parts of different sizes.
    """
    first = mask = None
    for label, path in parts:
        part = read_drawing(path, exact=True).pixels[..., 0]
        if mask is None:
            first, mask = path, np.zeros(part.shape, np.uint8)
        check_shapes(part.shape, path, mask.shape, f"'{first.name}' of the same face")
        mask[part > 0] = label
    return mask
