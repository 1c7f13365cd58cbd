"""Microsoft FaceSynthetics (Wood et al., ICCV 2021): 100,000 rendered faces of 512 pixels, all in one folder.

(ID, six digits).png            the image
(ID, six digits)_seg.png        class ids, 255 = ignore
(ID, six digits)_ldmks.txt      70 lines "x y"

Landmarks are the 68 points of iBUG and the two centres of the pupils: projections of points of the 3-D head, so hidden
ones lie where they would be seen through the head, and the contour does not follow the visible outline. The numbers
are used unchanged; the data set does not say whether pixel centres are at .0 or .5.
"""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from etils import epath

from input_pipeline.errors import UserError, require
from input_pipeline.images.decode import check_ids, read_mask
from input_pipeline.labels import FACESYNTHETICS, LabelSet
from input_pipeline.readers.downloads.face_files import read_points
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.listing import entries, stray
from input_pipeline.types import Problem

LANDMARKS = 70

_IMAGE, _MASK, _POINTS = _ENDINGS = (".png", "_seg.png", "_ldmks.txt")
_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class FaceSyntheticsSplit:
    """All faces of a FaceSynthetics folder; a `RawSplit`. Names are the numbers with six digits.

    Attributes:
      root: the folder.
      names, problems: see `RawSplit`.
    """

    label_set: ClassVar[LabelSet] = FACESYNTHETICS
    root: epath.Path
    names: tuple[str, ...]
    problems: tuple[Problem, ...]

    def image_path(self, index: int) -> epath.Path:
        """See `RawSplit`."""
        return self.root / f"{self.names[index]}{_IMAGE}"

    def read_mask(self, index: int) -> np.ndarray:
        """See `RawSplit`."""
        path = self.root / f"{self.names[index]}{_MASK}"
        return check_ids(read_mask(path), FACESYNTHETICS, str(path))

    def read_landmarks(self, index: int) -> np.ndarray:
        """Return float32 [70, 2], see the head of this file; raise UserError as `read_points` does."""
        return read_points(self.root / f"{self.names[index]}{_POINTS}", LANDMARKS)


def _splits(root: epath.Path) -> tuple[str, ...]:
    _list(root)
    return ()


def _open(root: epath.Path, split: str, variant: str | None) -> FaceSyntheticsSplit:
    require(
        not split,
        f"FaceSynthetics has no split '{split}', it is not divided: take slices of it instead, for example "
        "'facesynthetics:DIR?[:-1000]' and 'facesynthetics:DIR?[-1000:]'",
    )
    found, strays = _list(root)
    whole = set.intersection(*found.values())
    broken = sorted(set.union(*found.values()) - whole)
    return FaceSyntheticsSplit(root, tuple(sorted(whole)), (*strays, *_incomplete(root, broken, found)))


def _list(root: epath.Path) -> tuple[dict[str, set[str]], list[Problem]]:
    """Return the map from file ending to the faces with such a file, and the files that belong to no face."""
    found, strays = {ending: set() for ending in _ENDINGS}, []
    for name in entries(root):
        face, ending = name[:_DIGITS], name[_DIGITS:]
        if ending in found and face.isascii() and face.isdigit():
            found[ending].add(face)
        else:
            strays.append(stray(root, name, "is not named like a file of FaceSynthetics (000000.png, ...)"))
    if not any(found.values()):
        raise UserError(f"'{root}' is no FaceSynthetics folder: it must hold 000000{', 000000'.join(_ENDINGS)}, ...")
    return found, strays


def _incomplete(root: epath.Path, broken: list[str], found: dict[str, set[str]]) -> Iterator[Problem]:
    for face in broken:
        present, *_ = (f"{face}{ending}" for ending in _ENDINGS if face in found[ending])
        missing = " and no ".join(f"'{face}{ending}'" for ending in _ENDINGS if face not in found[ending])
        yield Problem(face, str(root / present), f"has no {missing} beside it")


LAYOUT = Layout(
    name="facesynthetics",
    title="Microsoft FaceSynthetics",
    licence="FaceSynthetics may be used for non-commercial research only (Microsoft's C-UDA licence, version 1.0).",
    shape="\n".join(f"(ID, six digits){ending}" for ending in _ENDINGS),
    splits=_splits,
    open=_open,
)
