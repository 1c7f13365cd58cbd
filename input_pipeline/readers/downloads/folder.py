"""A folder of photos and label images, paired by name; `masks` may be missing if only photos are needed."""

import functools

import numpy as np
from etils import epath

from input_pipeline import label_files, labels, licences
from input_pipeline.images.decode import read_mask
from input_pipeline.label_files import FileLabels
from input_pipeline.readers import photos
from input_pipeline.readers.downloads.face_files import FileRole, MatchedSplit, find_splits, match_by_name
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.specs import check_split


def _splits(root: epath.Path) -> tuple[str, ...]:
    return find_splits(root, "images", "a data set is images/ with masks/ beside it")


def _open(root: epath.Path, split: str, variant: str | None) -> MatchedSplit:
    check_split("folder", str(root), split, _splits(root))
    directory = root / split if split else root
    path = next((each for each in (directory / "labels.json", root / "labels.json") if each.is_file()), None)
    file_labels = label_files.of_known(labels.CELEBAMASK) if path is None else label_files.read(path)
    roles = [FileRole("photo", directory / "images", photos.SUFFIXES)]
    if (directory / "masks").is_dir():
        roles.append(FileRole("mask", directory / "masks", (".png",)))
    return MatchedSplit(
        label_set=file_labels.label_set,
        matched=match_by_name(*roles),
        mask_reader=functools.partial(_read_mask, file_labels),
        licence=None if path is None else label_files.read_licence(path),
    )


def _read_mask(file_labels: FileLabels, split: MatchedSplit, index: int) -> np.ndarray | None:
    if len(split.matched.folders) == 1:
        return None
    path = split.path(1, index)
    return file_labels.to_ids(read_mask(path), str(path))


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
