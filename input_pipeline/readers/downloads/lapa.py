"""LaPa (Liu et al., AAAI 2020): 22,000 faces in the wild with 11 classes and 106 landmarks.

LaPa/{train,val,test}/images/NAME.jpg
LaPa/{train,val,test}/labels/NAME.png        class ids in the order of `labels.LAPA`
LaPa/{train,val,test}/landmarks/NAME.txt     "106", then 106 lines "x y"

Landmarks are used unchanged, in pixels of the photo; the data set does not say whether pixel centres are at .0 or .5.
Some are known to be wrong (the data set's own issue list names about twenty files).
"""

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.labels import LAPA
from input_pipeline.readers.downloads.face_files import (
    FileRole,
    MatchedSplit,
    find_home,
    match_by_name,
    parse_points,
    read_ids,
)
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.listing import read_text
from input_pipeline.specs import check_split

LANDMARKS = 106
SPLITS = ("train", "val", "test")


def _splits(root: epath.Path) -> tuple[str, ...]:
    return find_home(root, "LaPa", SPLITS)[1]


def _open(root: epath.Path, split: str, variant: str | None) -> MatchedSplit:
    home, splits = find_home(root, "LaPa", SPLITS)
    check_split("lapa", str(root), split, splits)
    roles = (("photo", "images", ".jpg"), ("label image", "labels", ".png"), ("landmark file", "landmarks", ".txt"))
    matched = match_by_name(*(FileRole(title, home / split / folder, (ending,)) for title, folder, ending in roles))
    return MatchedSplit(LAPA, matched, read_ids, _read_landmarks)


def _read_landmarks(split: MatchedSplit, index: int) -> np.ndarray:
    """Read float32 [106, 2]; raise UserError for a damaged file."""
    path = split.path(2, index)
    count, *words = read_text(path).split() or ("",)
    if count != str(LANDMARKS):
        raise UserError(f"'{path}' does not begin with the number of its points, {LANDMARKS}: replace the file")
    return parse_points(words, LANDMARKS, str(path))


LAYOUT = Layout(
    name="lapa",
    title="LaPa",
    licence="LaPa is free for non-commercial purposes such as research, teaching, publications and personal "
    "experimentation, under the terms of its authors.",
    shape="""\
LaPa/{train,val,test}/images/NAME.jpg
LaPa/{train,val,test}/labels/NAME.png
LaPa/{train,val,test}/landmarks/NAME.txt""",
    splits=_splits,
    open=_open,
)
