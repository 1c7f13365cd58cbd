"""Read a raw download as a source of examples: no preparation, every file is decoded on request."""

from collections.abc import Sequence

import numpy as np

from input_pipeline import files, licences
from input_pipeline.errors import UserError
from input_pipeline.images.decode import assemble
from input_pipeline.labels import LabelSet
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.layout import RawSplit, licence_of
from input_pipeline.specs import check_split
from input_pipeline.types import Example, OpenOptions, Problem


class LayoutSource:
    """The faces of one split of a raw download, as picklable as its split.

    Attributes:
      raw: the split.
      label_set: of the masks.
      names: of the complete faces.
      problems: found while listing the files; those faces are left out.
      licence: what the faces may be used for, see `input_pipeline.licences`.

    Args:
      raw: an opened split.
      licence: of the split (`downloads.layout.licence_of`).
      require_masks: False accepts a data set without labels: then no example has a mask.
      strict: False leaves out faces with problems; True raises UserError for them.

    Raises:
      UserError: a data set without labels, or without any complete face, if masks are required, or with problems if
        `strict`. Reading an example raises it for a damaged file, and for a mask that does not cover its photo.
    """

    def __init__(
        self, raw: RawSplit, licence: str = licences.UNKNOWN, *, require_masks: bool = True, strict: bool = True
    ):
        fault = None
        if raw.problems and (strict or (require_masks and not raw.names)):
            fault = _first_of(raw.problems)
        elif require_masks and not _is_labelled(raw):
            fault = f"'{raw.image_path(0)}' has no mask, nor have the other photos beside it: add masks"
        if fault is not None:
            raise UserError(fault)
        self.raw, self.licence = raw, licence
        self.label_set: LabelSet = raw.label_set
        self.names: Sequence[str] = raw.names
        self.problems: Sequence[Problem] = raw.problems

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        return self.read_reduced(index)

    def read_reduced(self, index: int, at_least: int | None = None) -> Example:
        """See `types.read_reduced`; the mask keeps its size, the landmarks follow the image."""
        path, landmarks = self.raw.image_path(index), self.raw.read_landmarks(index)
        return assemble(path, self.raw.read_mask(index), landmarks, at_least=at_least)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `types.read_mask`."""
        return self.raw.read_mask(index)


def _first_of(problems: Sequence[Problem]) -> str:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"'{first.path}' {first.reason}{more}; `l2s data check` lists what is wrong"


def _is_labelled(raw: RawSplit) -> bool:
    """Return whether the data set has masks: either all of its faces have one, or none."""
    try:
        return raw.read_mask(0) is not None
    except UserError:  # A damaged mask is a mask; reading that face reports it.
        return True


def splits(name: str, where: str) -> tuple[str, ...]:
    """Return the names of the splits of the layout `NAME[/VARIANT]` in a folder; () for data without splits.

    Raises:
      UserError: no such layout or folder, or the folder does not look like the layout.
    """
    layout, _ = downloads.get(name)
    return layout.splits(files.existing_folder(where))


def open_split(name: str, where: str, split: str, options: OpenOptions) -> LayoutSource:
    """Open `NAME[/VARIANT]:WHERE?split`.

    Raises:
      UserError: as `splits` and `LayoutSource`, or there is no such split.
    """
    layout, variant = downloads.get(name)
    root = files.existing_folder(where)
    if not split:  # layouts reject unknown splits themselves: some accept names beyond those they list
        check_split(name, where, split, layout.splits(root))
    raw = layout.open(root, split, variant)
    licence = licence_of(layout, raw)
    return LayoutSource(raw, licence, require_masks=options.require_masks, strict=options.strict)
