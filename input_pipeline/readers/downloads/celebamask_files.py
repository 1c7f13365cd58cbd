"""The files of a CelebAMask-HQ folder: its faces, and the split of CelebA that each of them belongs to."""

from collections.abc import Iterator
from typing import NamedTuple

from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from input_pipeline.readers.listing import entries, read_text, stray
from input_pipeline.types import Problem

PHOTOS = "CelebA-HQ-img"
ANNOTATIONS = "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
PARTITION = "list_eval_partition.txt"
SPLITS = ("train", "val", "test")
"""Splits in the order of CelebA's numbers 0, 1, 2."""

_BLOCK = 2000  # faces in one folder of annotations
_BLOCKS = frozenset(map(str, range(100_000 // _BLOCK)))  # file names have five digits
_BITS = {f"{part}.png": 1 << CELEBAMASK[part] for part in CELEBAMASK.names[1:]}


class Files(NamedTuple):
    """The contents of the folders of photos and annotations.

    Attributes:
      photos: numbers of the photos.
      parts: number of a face -> bit set of its part files, bit k for the part with id k in CELEBAMASK (an int, since
        the download has 400,000 of these files).
      strays: files that belong to no face.
    """

    photos: set[int]
    parts: dict[int, int]
    strays: list[Problem]


def find_root(root: epath.Path) -> epath.Path:
    """Return the folder `CelebAMask-HQ`: `root` itself or a folder in it.

    Raises:
      UserError: it is neither.
    """
    for folder in (root, root / "CelebAMask-HQ"):
        if (folder / PHOTOS).is_dir() and (folder / ANNOTATIONS).is_dir():
            return folder
    raise UserError(f"'{root}' is no CelebAMask-HQ download: it must hold the folders '{PHOTOS}' and '{ANNOTATIONS}'")


def photo_path(root: epath.Path, number: int) -> epath.Path:
    """Return the path of a photo."""
    return root / PHOTOS / f"{number}.jpg"


def part_path(root: epath.Path, number: int, part: str) -> epath.Path:
    """Return the path of one part of a face."""
    return root / ANNOTATIONS / str(number // _BLOCK) / f"{number:05d}_{part}.png"


def list_files(root: epath.Path) -> Files:
    """List every folder once, without opening any file.

    Raises:
      UserError: a folder that cannot be read.
    """
    photos, photo_strays = _list_photos(root / PHOTOS)
    parts, part_strays = _list_parts(root / ANNOTATIONS)
    return Files(photos, parts, photo_strays + part_strays)


def _list_photos(folder: epath.Path) -> tuple[set[int], list[Problem]]:
    photos, strays = set(), []
    for name in entries(folder):
        number, _, suffix = name.partition(".")
        if suffix == "jpg" and _is_number(number) and number == str(int(number)):
            photos.add(int(number))
        else:
            strays.append(stray(folder, name, "is not named like a photo (0.jpg, 1.jpg, ...)"))
    return photos, strays


def _list_parts(folder: epath.Path) -> tuple[dict[int, int], list[Problem]]:
    parts, strays = {}, []
    for block in entries(folder):
        if block not in _BLOCKS:
            strays.append(stray(folder, block, f"is not a folder of {_BLOCK} faces (0, 1, 2, ...)"))
            continue
        for name in entries(folder / block):
            digits, _, suffix = name.partition("_")
            if suffix not in _BITS or len(digits) != 5 or not _is_number(digits):
                strays.append(stray(folder / block, name, "is not named like a part (00000_skin.png, ...)"))
                continue
            number = int(digits)
            if number // _BLOCK == int(block):
                parts[number] = parts.get(number, 0) | _BITS[suffix]
            else:
                strays.append(stray(folder / block, name, f"belongs into the folder '{number // _BLOCK}'"))
    return parts, strays


def has_partition(root: epath.Path) -> bool:
    """Return whether both files that define the splits exist."""
    return (root / MAPPING).is_file() and (root / PARTITION).is_file()


def read_origins(root: epath.Path) -> dict[int, str]:
    """Read the map from the number of a face to its file in CelebA (`119614.jpg`).

    Raises:
      UserError: the mapping file is missing or malformed; the sentence says where to get it.
    """
    path, origins = root / MAPPING, {}
    if not path.is_file():
        raise UserError(_missing(root, MAPPING, "it is part of the CelebAMask-HQ download"))
    for line, words in _rows(path):
        if line == 1 and words[0] == "idx":
            continue
        if len(words) < 3 or not _is_number(words[0]) or int(words[0]) in origins:
            raise UserError(f"line {line} of '{path}' is not a new face 'idx orig_idx orig_file': replace the file")
        origins[int(words[0])] = words[2]
    return origins


def read_partition(root: epath.Path) -> dict[str, str]:
    """Read the map from a file in CelebA to `train`, `val` or `test`.

    Raises:
      UserError: the partition file is missing or malformed; the sentence says where to get it.
    """
    path, partition = root / PARTITION, {}
    if not path.is_file():
        source = "it is not in the CelebAMask-HQ download but in CelebA's folder 'Eval'"
        raise UserError(_missing(root, PARTITION, source))
    for line, words in _rows(path):
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise UserError(f"line {line} of '{path}' is not 'FILE 0', 'FILE 1' or 'FILE 2': replace the file")
        partition[words[0]] = SPLITS[int(words[1])]
    return partition


def _missing(root: epath.Path, name: str, source: str) -> str:
    return f"the split needs the file '{name}' in '{root}' ({source}): put it there, or use the undivided faces, '?all'"


def _rows(path: epath.Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, words) of the lines that are not blank."""
    for line, text in enumerate(read_text(path).splitlines(), 1):
        words = text.split()
        if words:
            yield line, words


def _is_number(word: str) -> bool:
    return len(word) <= 5 and word.isascii() and word.isdigit()
