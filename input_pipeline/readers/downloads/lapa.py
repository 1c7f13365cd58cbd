"""LaPa (Liu et al., AAAI 2020): 22,000 faces in the wild with 11 classes and 106 landmarks.

LaPa/{train,val,test}/images/NAME.jpg
LaPa/{train,val,test}/labels/NAME.png        class ids in the order of `labels.LAPA`
LaPa/{train,val,test}/landmarks/NAME.txt     "106", then 106 lines "x y"

Landmarks are used unchanged, in pixels of the photo; the data set does not say whether pixel centres are at .0 or .5.
Some are known to be wrong (the data set's own issue list names about twenty files).
"""

import dataclasses

import numpy as np
from etils import epath

from input_pipeline.errors import UserError
from input_pipeline.images.decode import read_mask
from input_pipeline.images.examples import check_ids
from input_pipeline.labels import LAPA, LabelSet
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.downloads.pairing import Part, find_home, pair
from input_pipeline.readers.downloads.points import parse_points
from input_pipeline.readers.listing import read_text
from input_pipeline.readers.splits import check_split
from input_pipeline.types import Problem

LANDMARKS = 106
SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class LapaSplit:
    """One split of LaPa, see `layout.RawSplit`.

    Attributes:
      root: the folder of the split.
      files: names in images/, labels/ and landmarks/, in the order of `names`.
    """

    root: epath.Path
    names: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]

    @property
    def label_set(self) -> LabelSet:
        """Return LAPA."""
        return LAPA

    def image_path(self, index: int) -> epath.Path:
        """See `layout.RawSplit`."""
        return self.root / "images" / self.files[0][index]

    def read_mask(self, index: int) -> np.ndarray:
        """See `layout.RawSplit`."""
        path = self.root / "labels" / self.files[1][index]
        mask = read_mask(path)
        check_ids(mask, LAPA, str(path))
        return mask

    def read_landmarks(self, index: int) -> np.ndarray:
        """Return float32 [106, 2]; see `layout.RawSplit`."""
        path = self.root / "landmarks" / self.files[2][index]
        count, *words = read_text(path).split() or ("",)
        if count != str(LANDMARKS):
            raise UserError(f"'{path}' does not begin with the number of its points, {LANDMARKS}: replace the file")
        return parse_points(words, LANDMARKS, str(path))


def _splits(root: epath.Path) -> tuple[str, ...]:
    return find_home(root, "LaPa", SPLITS)[1]


def _open(root: epath.Path, split: str, variant: str | None) -> LapaSplit:
    home, splits = find_home(root, "LaPa", SPLITS)
    check_split("lapa", str(root), split, splits)
    folder = home / split
    paired = pair(
        Part("photo", folder / "images", (".jpg",)),
        Part("label image", folder / "labels", (".png",)),
        Part("landmark file", folder / "landmarks", (".txt",)),
    )
    return LapaSplit(folder, paired.names, paired.files, paired.problems)


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
