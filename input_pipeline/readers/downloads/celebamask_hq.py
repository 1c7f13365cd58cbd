"""CelebAMask-HQ (Lee et al., CVPR 2020): 30,000 photos of 1024 pixels, one image of 512 pixels for each part.

CelebA-HQ-img/ID.jpg
CelebAMask-HQ-mask-anno/(ID // 2000)/(ID, five digits)_PART.png      white where the part is; absent parts have no file
CelebA-HQ-to-CelebA-mapping.txt                                       idx orig_idx orig_file
list_eval_partition.txt                                               orig_file 0|1|2; from CelebA

The parts overlap, so a label map depends on the order in which they are painted, and published code uses three orders:
ground truths differ, and scores - above all of necklace, earring, glasses and neck - cannot be compared across them.
"""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from etils import epath

from input_pipeline.errors import UserError, require
from input_pipeline.labels import BISENET19, CELEBAMASK, FARL19, LabelSet
from input_pipeline.readers.downloads.face_files import merge_parts
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.listing import entries, read_text, stray
from input_pipeline.specs import check_split
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
PAINT_ORDERS = {"official": CELEBAMASK.names[1:], "farl": FARL19.names[1:], "zllrunning": BISENET19.names[1:]}
"""Variant -> parts; a later one covers an earlier one. Each code base paints in the order of its own ids; the label
maps here have the ids of CELEBAMASK in any order of painting."""

UNDIVIDED = "all"
"""Name of the split of all faces, for users without the partition file."""


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
    for line, words in _rows(path, "it is part of the CelebAMask-HQ download"):
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
    for line, words in _rows(path, "it is not in the CelebAMask-HQ download but in CelebA's folder 'Eval'"):
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise UserError(f"line {line} of '{path}' is not 'FILE 0', 'FILE 1' or 'FILE 2': replace the file")
        partition[words[0]] = SPLITS[int(words[1])]
    return partition


def _rows(path: epath.Path, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, words) of the lines that are not blank; `source` says where to get the file."""
    require(
        path.is_file(),
        f"the split needs the file '{path.name}' in '{path.parent}' ({source}): put it there, or use the undivided "
        "faces, '?all'",
    )
    for line, text in enumerate(read_text(path).splitlines(), 1):
        words = text.split()
        if words:
            yield line, words


def _is_number(word: str) -> bool:
    return len(word) <= 5 and word.isascii() and word.isdigit()


@dataclasses.dataclass(frozen=True, eq=False)
class CelebAMaskSplit:
    """Faces of CelebAMask-HQ; a `RawSplit`. Names are the numbers with five digits.

    Attributes:
      root: the folder CelebAMask-HQ.
      numbers: int32 [N].
      parts: uint32 [N], bit k is set where the face has a file of the part with id k.
      order: of painting.
      names, problems: see `RawSplit`.
    """

    label_set: ClassVar[LabelSet] = CELEBAMASK
    root: epath.Path
    numbers: np.ndarray
    parts: np.ndarray
    order: tuple[str, ...]
    names: tuple[str, ...]
    problems: tuple[Problem, ...]

    def image_path(self, index: int) -> epath.Path:
        """See `RawSplit`."""
        return photo_path(self.root, int(self.numbers[index]))

    def read_mask(self, index: int) -> np.ndarray:
        """See `RawSplit`; half the photo's size in the download. A face whose parts are all black is all background."""
        number, present = int(self.numbers[index]), int(self.parts[index])
        ids = {part: CELEBAMASK[part] for part in self.order}
        return merge_parts((k, part_path(self.root, number, part)) for part, k in ids.items() if present >> k & 1)

    def read_landmarks(self, index: int) -> None:
        """Return None: the data set has no landmarks."""
        return None


def _splits(root: epath.Path) -> tuple[str, ...]:
    return SPLITS if has_partition(find_root(root)) else (UNDIVIDED,)


def _open(root: epath.Path, split: str, variant: str | None) -> CelebAMaskSplit:
    """Open a split; files that belong to no face, and faces of no split, are problems of `train` and of `all`."""
    root = find_root(root)
    found = list_files(root)
    members, problems = found.photos | found.parts.keys(), []
    if split in (UNDIVIDED, SPLITS[0]):
        problems += found.strays
    if split != UNDIVIDED:
        members, homeless = _select(root, split, members)
        problems += homeless
    if not members and not problems:
        raise UserError(f"'{root}' holds no face of the split '{split}': unpack the photos and annotations there")
    whole = sorted(members & found.photos & found.parts.keys())
    problems += [_incomplete(root, number, found) for number in sorted(members.difference(whole))]
    return CelebAMaskSplit(
        root=root,
        numbers=np.array(whole, np.int32),
        parts=np.array([found.parts[number] for number in whole], np.uint32),
        order=PAINT_ORDERS[variant or "official"],
        names=tuple(f"{number:05d}" for number in whole),
        problems=tuple(problems),
    )


def _select(root: epath.Path, split: str, numbers: set[int]) -> tuple[set[int], list[Problem]]:
    """Return the faces of a split and, with the first split, the problems of faces that belong to none."""
    check_split("celebamask_hq", str(root), split, (*SPLITS, UNDIVIDED))
    partition, origins = read_partition(root), read_origins(root)
    homes = {number: partition.get(origins.get(number, "")) for number in numbers}
    problems = []
    if split == SPLITS[0]:
        for number in sorted(number for number, home in homes.items() if home is None):
            reason = (
                f"has the face '{origins[number]}', which is not in '{PARTITION}'"
                if number in origins
                else f"is not in '{MAPPING}'"
            )
            problems.append(Problem(f"{number:05d}", str(photo_path(root, number)), reason))
    return {number for number, home in homes.items() if home == split}, problems


def _incomplete(root: epath.Path, number: int, found: Files) -> Problem:
    photo, name = photo_path(root, number), f"{number:05d}"
    if number in found.photos:
        return Problem(name, str(photo), f"has no part in '{part_path(root, number, 'skin').parent}'")
    return Problem(name, str(photo), "does not exist, but its parts do")


LAYOUT = Layout(
    name="celebamask_hq",
    title="CelebAMask-HQ",
    licence="CelebAMask-HQ may be used for non-commercial research and education only.",
    shape="\n".join(
        (
            f"{PHOTOS}/ID.jpg",
            f"{ANNOTATIONS}/(ID // 2000)/(ID, five digits)_PART.png",
            f"{MAPPING}   for the splits train, val, test",
            f"{PARTITION}   for the same, from CelebA; without it there is the split 'all'",
        )
    ),
    splits=_splits,
    open=_open,
    variants={
        "official": "painted as by the data set's script: eyes over glasses, neck over necklace, clothing over both",
        "farl": "painted as by FaRL and SegFace: necklace, earrings, hat and glasses over everything else",
        "zllrunning": "painted as by zllrunning's BiSeNet: glasses over eyes, clothing over necklace, hair over both",
    },
)
