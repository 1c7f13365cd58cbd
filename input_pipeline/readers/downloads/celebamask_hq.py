"""CelebAMask-HQ (Lee et al., CVPR 2020): 30,000 photos of 1024 pixels, one image of 512 pixels for each part.

CelebA-HQ-img/ID.jpg
CelebAMask-HQ-mask-anno/(ID // 2000)/(ID, five digits)_PART.png      white where the part is; absent parts have no file
CelebA-HQ-to-CelebA-mapping.txt                                       idx orig_idx orig_file
list_eval_partition.txt                                               orig_file 0|1|2; from CelebA

The parts overlap, so a label map depends on the order in which they are painted, and published code uses three orders:
ground truths differ, and scores - above all of necklace, earring, glasses and neck - cannot be compared across them.
"""

import dataclasses

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.labels import BISENET19, CELEBAMASK, FARL19, LabelSet
from input_pipeline.readers.downloads import celebamask_files as files
from input_pipeline.readers.downloads.face_files import merge_parts
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.specs import check_split
from input_pipeline.types import Problem

PAINT_ORDERS = {"official": CELEBAMASK.names[1:], "farl": FARL19.names[1:], "zllrunning": BISENET19.names[1:]}
"""Variant -> parts; a later one covers an earlier one. Each code base paints in the order of its own ids; the label
maps here have the ids of CELEBAMASK in any order of painting."""

UNDIVIDED = "all"
"""Name of the split of all faces, for users without the partition file."""


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

    root: epath.Path
    numbers: np.ndarray
    parts: np.ndarray
    order: tuple[str, ...]
    names: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def label_set(self) -> LabelSet:
        """Return CELEBAMASK."""
        return CELEBAMASK

    def image_path(self, index: int) -> epath.Path:
        """See `RawSplit`."""
        return files.photo_path(self.root, int(self.numbers[index]))

    def read_mask(self, index: int) -> np.ndarray:
        """See `RawSplit`; half the photo's size in the download. A face whose parts are all black is all background."""
        number, present = int(self.numbers[index]), int(self.parts[index])
        ids = {part: CELEBAMASK[part] for part in self.order}
        return merge_parts((k, files.part_path(self.root, number, part)) for part, k in ids.items() if present >> k & 1)

    def read_landmarks(self, index: int) -> None:
        """Return None: the data set has no landmarks."""
        return None


def _splits(root: epath.Path) -> tuple[str, ...]:
    return files.SPLITS if files.has_partition(files.find_root(root)) else (UNDIVIDED,)


def _open(root: epath.Path, split: str, variant: str | None) -> CelebAMaskSplit:
    """Open a split; files that belong to no face, and faces of no split, are problems of `train` and of `all`."""
    root = files.find_root(root)
    found = files.list_files(root)
    members, problems = found.photos | found.parts.keys(), []
    if split in (UNDIVIDED, files.SPLITS[0]):
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
    check_split("celebamask_hq", str(root), split, (*files.SPLITS, UNDIVIDED))
    partition, origins = files.read_partition(root), files.read_origins(root)
    homes = {number: partition.get(origins.get(number, "")) for number in numbers}
    problems = []
    if split == files.SPLITS[0]:
        for number in sorted(number for number, home in homes.items() if home is None):
            reason = (
                f"has the face '{origins[number]}', which is not in '{files.PARTITION}'"
                if number in origins
                else f"is not in '{files.MAPPING}'"
            )
            problems.append(Problem(f"{number:05d}", str(files.photo_path(root, number)), reason))
    return {number for number, home in homes.items() if home == split}, problems


def _incomplete(root: epath.Path, number: int, found: files.Files) -> Problem:
    photo, name = files.photo_path(root, number), f"{number:05d}"
    if number in found.photos:
        return Problem(name, str(photo), f"has no part in '{files.part_path(root, number, 'skin').parent}'")
    return Problem(name, str(photo), "does not exist, but its parts do")


LAYOUT = Layout(
    name="celebamask_hq",
    title="CelebAMask-HQ",
    licence="CelebAMask-HQ may be used for non-commercial research and education only.",
    shape="\n".join(
        (
            f"{files.PHOTOS}/ID.jpg",
            f"{files.ANNOTATIONS}/(ID // 2000)/(ID, five digits)_PART.png",
            f"{files.MAPPING}   for the splits train, val, test",
            f"{files.PARTITION}   for the same, from CelebA; without it there is the split 'all'",
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
