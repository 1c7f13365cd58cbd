"""A folder of photos and label images, paired by name; `masks` may be missing if only photos are needed."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from etils import epath

from input_pipeline import label_files, labels, licences
from input_pipeline.errors import UserError
from input_pipeline.images.decode import read_mask
from input_pipeline.label_files import FileLabels
from input_pipeline.labels import LabelSet
from input_pipeline.readers import photos
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.downloads.pairing import Part, pair
from input_pipeline.readers.listing import entries
from input_pipeline.readers.splits import check_split
from input_pipeline.types import Problem


@dataclasses.dataclass(frozen=True)
class FolderSplit:
    """One split of such a folder, see `layout.RawSplit`; without landmarks.

    Attributes:
      root: the parent folder of images/ and masks/.
      file_labels: the meaning of the values in the mask files.
      images: file names in images/, in the order of `names`.
      masks: file names in masks/, or None without masks.
      licence: the licence in labels.json, or None.
    """

    root: epath.Path
    file_labels: FileLabels
    names: tuple[str, ...]
    images: tuple[str, ...]
    masks: tuple[str, ...] | None
    problems: tuple[Problem, ...]
    licence: str | None

    @property
    def label_set(self) -> LabelSet:
        """Return the label set of the masks that `read_mask` returns."""
        return self.file_labels.label_set

    def image_path(self, index: int) -> epath.Path:
        """See `layout.RawSplit`."""
        return self.root / "images" / self.images[index]

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `layout.RawSplit`."""
        if self.masks is None:
            return None
        path = self.root / "masks" / self.masks[index]
        return self.file_labels.to_ids(read_mask(path), str(path))

    def read_landmarks(self, index: int) -> None:
        """Return None: the data set has no landmarks."""


def _splits(root: epath.Path) -> tuple[str, ...]:
    inside = entries(root)
    if "images" in inside:
        return ()
    found = tuple(name for name in inside if (root / name / "images").is_dir())
    if not found:
        raise UserError(f"'{root}' has no folder 'images': a data set is images/ with masks/ beside it")
    return found


def _open(root: epath.Path, split: str, variant: str | None) -> FolderSplit:
    check_split("folder", str(root), split, _splits(root))
    directory = root / split if split else root
    images = Part("photo", directory / "images", photos.SUFFIXES)
    masks = Part("mask", directory / "masks", (".png",))
    labelled = masks.directory.is_dir()
    paired = pair(images, masks) if labelled else pair(images)
    return FolderSplit(
        root=directory,
        file_labels=_file_labels(directory, root),
        names=paired.names,
        images=paired.files[0],
        masks=paired.files[1] if labelled else None,
        problems=paired.problems,
        licence=_licence(directory, root),
    )


def _file_labels(*directories: epath.Path) -> FileLabels:
    path = _labels_json(directories)
    return label_files.of_known(labels.CELEBAMASK) if path is None else label_files.read(path)


def _licence(*directories: epath.Path) -> str | None:
    path = _labels_json(directories)
    return None if path is None else label_files.read_licence(path)


def _labels_json(directories: Sequence[epath.Path]) -> epath.Path | None:
    """Return the labels.json of the first folder that has one, or None."""
    paths = (directory / "labels.json" for directory in directories)
    return next((path for path in paths if path.is_file()), None)


LAYOUT = Layout(
    name="folder",
    title="a folder of photos and masks",
    licence=licences.UNKNOWN,
    shape="""\
DIR[/SPLIT]/images/NAME.jpg|png|...   any photo that `l2s parse` reads
DIR[/SPLIT]/masks/NAME.png           class ids, 255 = ignore
DIR[/SPLIT]/labels.json              {"label_set": NAME} or {"labels": {"0": "background", "1": "skin", ...}};
                                     and, if you like, "licence": what the data may be used for, e.g. "CC0-1.0";
                                     also looked for in DIR; without it CelebAMask-HQ's official order""",
    splits=_splits,
    open=_open,
)
