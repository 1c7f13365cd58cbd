"""FASSEG (Khan, Mauro, Leonardi, ICIP 2015; Benini et al., Data in Brief 2019): faces with RGB colour-coded labels.

The repository holds several sets, each in its own folder, which is what `root` names:

frontal01, frontal02 (V1, V2)    {Train,Test}_RGB/N.bmp with {Train,Test}_Labels/N.bmp: 20 + 50 frontal faces, rough and
                                 precise labels of the same photos
multipose01 (V3)                 {Train,Test}_RGB/POSE/NAME.bmp with {Train,Test}_labels/POSE/NAME.bmp; POSE is the
                                 angle in degrees, -90 to +90
frontal03                        Original/N.jpg with Labeled/N.jpg: 150 faces of twins, without splits

Verified: the folders of V1, V2, V3 in the repository's listing; the colours below in two independent published
readers; frontal03's folders in a published reader. Not verified: that frontal03 and multipose01 use the same colours
(their article names the same six classes). Brows have no class of their own. Borders are smoothed, see `color_masks`.
"""

import re

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.images.decode import read_drawing
from input_pipeline.labels import FASSEG
from input_pipeline.readers.downloads.color_masks import class_ids
from input_pipeline.readers.downloads.face_files import PHOTO_ENDINGS, FileRole, Matched, MatchedSplit, match_by_name
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.listing import entries
from input_pipeline.specs import check_split
from input_pipeline.types import Problem

COLORS = {
    "background": (255, 0, 0),
    "skin": (255, 255, 0),
    "hair": (127, 0, 0),
    "eyes": (0, 0, 255),
    "nose": (0, 255, 255),
    "lips": (0, 255, 0),
}
PALETTE = tuple(COLORS[name] for name in FASSEG.names)
"""RGB colours by class id."""

# Split: folders of photos and label images, in lower case; the sets write `Labels` and `labels`.
_FOLDERS = {"train": ("train_rgb", "train_labels"), "test": ("test_rgb", "test_labels"), "": ("original", "labeled")}
_POSE = re.compile(r"[+-]?[0-9]{1,3}")
_ENDINGS = (".bmp", *PHOTO_ENDINGS)


def _find_folders(root: epath.Path) -> dict[str, tuple[str, str]]:
    """Return the folders of photos and of label images, by split."""
    inside = {name.lower(): name for name in entries(root)}
    found = {split: (inside[a], inside[b]) for split, (a, b) in _FOLDERS.items() if a in inside and b in inside}
    if not found:
        sets = [name for name in inside.values() if (root / name).is_dir() and _is_set(root / name)]
        hint = f"name one of its sets, as in 'fasseg:{root}/{sets[0]}'" if sets else "check the path"
        raise UserError(f"'{root}' has no folders Train_RGB and Train_Labels, nor Original and Labeled: {hint}")
    return found


def _is_set(folder: epath.Path) -> bool:
    inside = {name.lower() for name in entries(folder)}
    return any(inside.issuperset(pair_of_folders) for pair_of_folders in _FOLDERS.values())


def _splits(root: epath.Path) -> tuple[str, ...]:
    return tuple(split for split in _find_folders(root) if split)


def _open(root: epath.Path, split: str, variant: str | None) -> MatchedSplit:
    folders = _find_folders(root)
    check_split("fasseg", str(root), split, tuple(name for name in folders if name))
    photos, label_images = folders[split]
    poses = [name for name in entries(root / photos) if _POSE.fullmatch(name)]
    groups = [(f"{photos}/{pose}", f"{label_images}/{pose}") for pose in poses] or [(photos, label_images)]
    faces: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for folder, labels_folder in groups:
        roles = (FileRole("photo", root / folder, _ENDINGS), FileRole("label image", root / labels_folder, _ENDINGS))
        matched = match_by_name(*roles)
        problems += matched.problems
        for name, photo, label in zip(matched.names, *matched.files, strict=True):
            # Real names contain the pose, so names of different poses never collide.
            if faces.setdefault(name, (f"{folder}/{photo}", f"{labels_folder}/{label}"))[0] != f"{folder}/{photo}":
                problems.append(Problem(name, str(root / folder / photo), "has the name of a face in another pose"))
    names = tuple(sorted(faces))
    files = tuple(zip(*(faces[name] for name in names), strict=True))
    return MatchedSplit(FASSEG, Matched(names, (root, root), files, tuple(problems)), _read_mask)


def _read_mask(split: MatchedSplit, index: int) -> np.ndarray:
    """Read a mask; borders between two colours are cleaned as in `color_masks.class_ids`."""
    path = split.path(1, index)
    return class_ids(read_drawing(path, exact=False).pixels, PALETTE, str(path))


LAYOUT = Layout(
    name="fasseg",
    title="FASSEG, one of its sets",
    licence="FASSEG states no licence; its authors ask for citation, and its photos stay under the terms of MIT-CBCL, "
    "FEI, Pointing'04 and SiblingsDB, which were published for research.",
    shape="""\
SET/{Train,Test}_RGB/[POSE/]NAME.bmp     SET is the folder of frontal01, frontal02 or multipose01
SET/{Train,Test}_Labels/[POSE/]NAME.bmp
SET/Original/N.jpg, SET/Labeled/N.jpg    where SET is frontal03""",
    splits=_splits,
    open=_open,
)
