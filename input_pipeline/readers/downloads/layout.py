"""What a raw download looks like to the rest of the house: faces by number, their files as they lie, masks on demand.

A layout only knows where things are and how labels are drawn there. Records, checks and training read every layout
through this contract. Splits are small and picklable: worker processes share them.
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
      names: one for each face, unique in the split, sorted as the data set counts its faces.
      problems: what listing the folders brought up (a face without its mask, a mask without its face); those faces are
        not in `names`. Opening a split lists folders and reads small index files; it opens no picture.
    """

    label_set: LabelSet
    names: Sequence[str]
    problems: Sequence[Problem]

    def image_path(self, index: int) -> epath.Path:
        """The file of the photo; its bytes go into records unchanged."""

    def read_mask(self, index: int) -> np.ndarray | None:
        """uint8 [H, W] ids of `label_set`, 255 = ignore; at its own size, which covers the photo's field of view, or
        None in a data set without labels.

        Raises:
          UserError: a damaged file, an unknown id or colour, parts of different sizes.
        """

    def read_landmarks(self, index: int) -> np.ndarray | None:
        """float32 [K, 2] (x, y) in pixels of the photo, or None where the data set has none.

        Raises:
          UserError: a damaged file, or another number of points.
        """


class LicensedSplit(Protocol):
    """A `RawSplit` whose own files may say what it may be used for.

    Attributes:
      licence: what they say, see `input_pipeline.licences`; None where they say nothing.
    """

    licence: str | None


class SplitOpener(Protocol):
    """Opens one split of a download."""

    def __call__(self, root: epath.Path, split: str, variant: str | None) -> RawSplit:
        """Raises UserError where the folders of the layout are missing."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way in which face-parsing data lie on disk.

    Attributes:
      name: what `--layout` and source specs call it.
      title: for people.
      licence: what the data may be used for, in one sentence, see `input_pipeline.licences`; it goes into the manifest
        of records and into the models that learn from them.
      shape: the expected folders and files, one line each, for help texts and errors.
      splits: the splits found in a root folder; () where the data are not divided, then `open` takes "".
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
    """What a split may be used for: what its own files say (`LicensedSplit`), else what is known of its layout."""
    return getattr(raw, "licence", None) or layout.licence
