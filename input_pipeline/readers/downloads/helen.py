"""Helen (Le et al., ECCV 2012; labels of Smith et al., CVPR 2013) as face parsers use it: 11 classes, 68 landmarks.

helen/{train,test}/NAME_image.jpg
helen/{train,test}/NAME_label.png        class ids in the order of `labels.HELEN`
helen/{train,test}/NAME_viz.jpg          a coloured overlay, not read
helen/landmarks.txt                      for each face a line: 136 numbers x y x y ..., then NAME

The numbers in landmarks.txt count pixels of a photo of twice the size; they are halved here and otherwise unchanged
(iBUG's 68 points; the data set does not say whether pixel centres are at .0 or .5). The file is distributed separately
from the labels: without it there are no landmarks. The data set has no split `val`; published code uses `test` as
such.
"""

import functools
from collections.abc import Mapping

import numpy as np
from etils import epath

from input_pipeline.errors import UserError, require
from input_pipeline.labels import HELEN
from input_pipeline.readers.downloads.face_files import (
    FileRole,
    Matched,
    MatchedSplit,
    find_home,
    match_by_name,
    parse_points,
    read_ids,
)
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.listing import read_text
from input_pipeline.specs import check_split
from input_pipeline.types import Problem

LANDMARKS = 68
LANDMARK_SCALE = 2.0
"""Scale of landmarks.txt: its pixels per pixel of the photo."""
SPLITS = ("train", "test")


def _splits(root: epath.Path) -> tuple[str, ...]:
    return find_home(root, "helen", SPLITS)[1]


def _open(root: epath.Path, split: str, variant: str | None) -> MatchedSplit:
    home, splits = find_home(root, "helen", SPLITS)
    check_split("helen", str(root), split, splits)
    matched = match_by_name(
        FileRole("photo", home / split, ("_image.jpg",)),
        FileRole("label image", home / split, ("_label.png",)),
    )
    path = home / "landmarks.txt"
    if not path.is_file():
        return MatchedSplit(HELEN, matched, read_ids)
    points, problems = _read_landmarks(path, matched.names)
    require(points, f"'{path}' has no line for any face of '{home / split}': replace or remove the file")
    whole = [k for k, name in enumerate(matched.names) if name in points]
    marked = Matched(
        names=tuple(matched.names[k] for k in whole),
        folders=matched.folders,
        files=tuple(tuple(files[k] for k in whole) for files in matched.files),
        problems=(*matched.problems, *problems),
    )
    return MatchedSplit(HELEN, marked, read_ids, functools.partial(_landmarks_of, points))


def _landmarks_of(points: Mapping[str, np.ndarray], split: MatchedSplit, index: int) -> np.ndarray:
    return points[split.names[index]]


def _read_landmarks(path: epath.Path, names: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[Problem]]:
    """Read float32 [68, 2] for each of `names` with exactly one valid line; lines of other faces are ignored."""
    lines: dict[str, list[list[str]]] = {name: [] for name in names}
    for line in read_text(path).splitlines():
        *numbers, name = line.split() or ("",)
        if name in lines:
            lines[name].append(numbers)
    points, problems = {}, []
    for name, found in lines.items():
        if len(found) != 1:
            problems.append(Problem(name, str(path), f"has {len(found)} lines for '{name}' instead of one"))
            continue
        try:
            points[name] = parse_points(found[0], LANDMARKS, f"line of {name}") / np.float32(LANDMARK_SCALE)
        except UserError as error:
            problems.append(Problem(name, str(path), f"has a line that cannot be read: {error}"))
    return points, problems


LAYOUT = Layout(
    name="helen",
    title="Helen",
    licence="Helen's photos come from Flickr and stay their authors'; no licence is stated with photos or labels: use "
    "them for research only.",
    shape="""\
helen/{train,test}/NAME_image.jpg
helen/{train,test}/NAME_label.png
helen/landmarks.txt                      68 points a face at twice the size; without it no landmarks""",
    splits=_splits,
    open=_open,
)
