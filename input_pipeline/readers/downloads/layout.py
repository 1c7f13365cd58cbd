"""The interface of raw downloads: faces by index, their files unchanged, masks decoded on request.

A layout only knows where the files are and how labels are stored in them. Records, checks and training read every
layout through this interface. Splits are small and picklable: worker processes share them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from etils import epath

from input_pipeline.labels import LabelSet
from input_pipeline.types import Problem


class RawSplit(Protocol):
    """One split of a raw download.

    Attributes:
      label_set: of the masks.
      names: one for each face, unique in the split, sorted in the data set's own order.
      problems: found while listing the folders (a face without its mask, a mask without its face); those faces are
        not in `names`. Opening a split lists folders and reads small index files; it opens no image.
      licence: optional, what its own files say of their use, see `input_pipeline.licences`; None if they say nothing.
    """

    label_set: LabelSet
    names: Sequence[str]
    problems: Sequence[Problem]

    def image_path(self, index: int) -> epath.Path:
        """Return the path of the photo; its bytes go into records unchanged."""

    def read_mask(self, index: int) -> np.ndarray | None:
        """Read the mask: uint8 [H, W] ids of `label_set`, 255 = ignore.

        It has its own size, which covers the photo's field of view. None in a data set without labels.

        Raises:
          UserError: a damaged file, an unknown id or colour, parts of different sizes.
        """

    def read_landmarks(self, index: int) -> np.ndarray | None:
        """Read the landmarks: float32 [K, 2] (x, y) in pixels of the photo, finite, or None if the data set has none.

        Raises:
          UserError: a damaged file, or another number of points.
        """


class SplitOpener(Protocol):
    """A function that opens one split of a download."""

    def __call__(self, root: epath.Path, split: str, variant: str | None) -> RawSplit:
        """Open a split; raise UserError if the folders of the layout are missing."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way in which face-parsing data are stored on disk.

    Attributes:
      name: as in `--layout` and source specs.
      title: for people.
      licence: what the data may be used for, in one sentence, see `input_pipeline.licences`; it goes into the manifest
        of records and into the models trained on them.
      shape: the expected folders and files, one line each, for help texts and errors.
      splits: returns the splits found in a root folder; () for data without splits, then `open` takes "".
        Raises UserError if the root does not look like this layout.
      open: see `SplitOpener`.
      variants: name -> one sentence; the first is the default, () = no variants. `NAME/VARIANT` selects one.
    """

    name: str
    title: str
    licence: str
    shape: str
    splits: Callable[[epath.Path], tuple[str, ...]]
    open: SplitOpener
    variants: Mapping[str, str] = dataclasses.field(default_factory=dict)


def licence_of(layout: Layout, raw: RawSplit) -> str:
    """Return the licence of a split: the one in its own files, else that of its layout."""
    return getattr(raw, "licence", None) or layout.licence
