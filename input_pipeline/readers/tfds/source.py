"""Read data that tensorflow-datasets prepared as ArrayRecord files, without TensorFlow.

Their specs are `tfds:[DIR#]NAME[/CONFIG][:VERSION][?SPLIT]`. DIR is the folder that TFDS calls data_dir; the default is
$TFDS_DATA_DIR, then ~/tensorflow_datasets. Only the files are read: the code that made the data set is never run, and
nothing is downloaded.
"""

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError

from input_pipeline import files, labels, licences
from input_pipeline.errors import UserError, require
from input_pipeline.images.decode import Encoded, assemble, check_ids, read_mask
from input_pipeline.specs import check_split
from input_pipeline.types import Example, NamesOnAccess, OpenOptions

MASK_FEATURES = ("mask", "segmentation_mask", "label")
"""Feature names of masks; the first that is an image or an array of [H, W] or [H, W, 1] counts."""

# The errors of a damaged record: from array_record (RuntimeError), parsing its message, and conversion to arrays.
_DAMAGE = (RuntimeError, DecodeError, ValueError, KeyError, zlib.error)


_NAME = re.compile(r"(?P<name>[A-Za-z]\w*)(/(?P<config>[\w.+-]*\w))?(:(?P<version>\d+\.\d+\.\d+))?")
_MAX_FEATURES_BYTES = 1 << 20


class TfdsSource:
    """One split of a prepared data set.

    Features: `image`; one of `MASK_FEATURES`; optional `landmarks` [K, 2] ([0, 2] for a face without), `name`. The
    label set is the entry `label_set` of the builder's metadata, `licence` is its redistribution info.

    Args:
      where: `[DIR#]NAME[/CONFIG][:VERSION]`; the newest version if none is named.
      split: its name.
      require_masks: False also accepts data without masks.

    Raises:
      UserError: data that are not prepared, not as ArrayRecord, or without one of the above. Reading an example raises
        it for a damaged record or image, and for an id outside the label set.
    """

    def __init__(self, where: str, split: str, *, require_masks: bool = True):
        builder = open_builder(where)
        features = builder.info.features
        features = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
        self._mask_feature = next((name for name in MASK_FEATURES if _is_mask(features.get(name))), None)
        metadata = builder.info.metadata
        label_set = metadata.get("label_set") if isinstance(metadata, dict) else None
        for fault in _faults(features, label_set, require_masks and self._mask_feature is None):
            raise UserError(f"the TFDS data set '{where}' {fault}")
        self.label_set = labels.get(label_set)
        self.licence = licences.tidy(builder.info.redistribution_info.license)
        self._place = f"{where}?{split}"
        self._records = _open_records(where, split, builder)
        self.names: Sequence[str] = NamesOnAccess(len(self), self.name_of)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        return self.read_reduced(index)

    def read_reduced(self, index: int, at_least: int | None = None) -> Example:
        """See `types.read_reduced`."""
        record = self.record(index)
        landmarks = record.get("landmarks")
        found = landmarks is not None and len(landmarks) > 0
        image = Encoded(f"{self._place}[{index}] image", record["image"])
        return assemble(image, self._mask_of(record, index), landmarks if found else None, at_least=at_least)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `types.read_mask`."""
        return self._mask_of(self.record(index), index)

    def record(self, index: int) -> dict[str, Any]:
        """Return the features of an example; images stay encoded.

        Raises:
          IndexError: index outside 0 .. len - 1.
          UserError: a damaged record.
        """
        try:
            return self._records[range(len(self))[index]]
        except _DAMAGE as error:
            raise UserError(f"record {index} of '{self._place}' is damaged ({error}): build the data again") from error

    def name_of(self, index: int) -> str:
        """Return the face's own name if the data have one, else its number."""
        name = self.record(index).get("name")
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else f"{index:06d}"

    def _mask_of(self, record: dict[str, Any], index: int) -> np.ndarray | None:
        if self._mask_feature is None:
            return None
        name, value = f"{self._place}[{index}] {self._mask_feature}", record[self._mask_feature]
        mask = read_mask(Encoded(name, value)) if isinstance(value, bytes) else _ids(value, name)
        return check_ids(mask, self.label_set, name)


def _faults(features: Mapping[str, object], label_set: object, lacks_mask: bool) -> Iterator[str]:
    """Yield why a data set cannot be read, as ends of the sentence "the TFDS data set 'NAME' ..."."""
    names = ", ".join(sorted(features)) or "features without names"
    if not isinstance(features.get("image"), tfds.features.Image):
        yield f"has no image feature called 'image', only: {names}"
    if lacks_mask:
        yield f"has no mask, a feature called {' or '.join(MASK_FEATURES)}, only: {names}"
    if not isinstance(label_set, str):
        yield (
            "does not say what its ids mean: give its builder the metadata {'label_set': NAME} with NAME one of "
            f"{', '.join(labels.LABEL_SETS)}"
        )


def _open_records(where: str, split: str, builder: tfds.core.DatasetBuilder) -> Sequence[dict[str, Any]]:
    pictures = [name for name, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)]
    try:
        return builder.as_data_source(split=split, decoders={name: tfds.decode.SkipDecoding() for name in pictures})
    except RuntimeError as error:
        fault = f"has a split '{split}' that is damaged ({error}): build it again"
        if isinstance(error, NotImplementedError):
            fault = "is not prepared as ArrayRecord files: build it with `tfds build --file_format array_record`"
        raise UserError(f"the TFDS data set '{where}' {fault}") from error


def _is_mask(feature: tfds.features.FeatureConnector | None) -> bool:
    if isinstance(feature, tfds.features.Image):
        return True
    shape = getattr(feature, "shape", ())
    return isinstance(feature, tfds.features.Tensor) and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 1))


def _ids(values: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of ids [H, W] or [H, W, 1] to uint8 [H, W]."""
    fits = values.dtype.kind in "iu" and values.min(initial=0) >= 0 and values.max(initial=0) <= 255
    require(fits, f"'{name}' holds {values.dtype} values that are no class ids from 0 to 255")
    return values.reshape(values.shape[:2]).astype(np.uint8)


def open_split(where: str, split: str, options: OpenOptions) -> TfdsSource:
    """Open `tfds:WHERE?split`.

    Raises:
      UserError: no such split, and as `TfdsSource`.
    """
    check_split("tfds", where, split, splits(where))
    return TfdsSource(where, split, require_masks=options.require_masks)


def splits(where: str) -> tuple[str, ...]:
    """Return the names of the splits of `[DIR#]NAME[/CONFIG][:VERSION]`.

    Raises:
      UserError: as `open_builder`.
    """
    return tuple(open_builder(where).info.splits)


def open_builder(where: str) -> tfds.core.DatasetBuilder:
    """Return the read-only builder of prepared data; the newest version if none is named.

    Raises:
      UserError: not prepared, a config or version that does not exist, or damaged files.
    """
    directory = _version_directory(where)
    try:
        _check_classes(directory / "features.json")
        found = tfds.builder_from_directory(directory)
        _ = found.info.metadata  # read now: TFDS would read the file at the first access, and fail there
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ParseError) as error:
        raise UserError(f"'{directory}' is not a complete TFDS data set ({error}): build it again") from error
    return found


def _version_directory(where: str) -> epath.Path:
    """Return the folder DIR/NAME[/CONFIG]/VERSION; TFDS' own search would run builder code to find a config."""
    data_dir, _, text = where.rpartition("#")
    match = _NAME.fullmatch(text)
    if match is None:
        raise UserError(f"'{text}' does not name a TFDS data set: write tfds:[DIR#]NAME[/CONFIG][:VERSION][?SPLIT]")
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    home = epath.Path(data_dir).expanduser() / match["name"]
    parent = home / match["config"] if match["config"] else home
    versions = _versions(parent)
    if match["version"] in versions or (match["version"] is None and versions):
        return parent / (match["version"] or versions[-1])
    fault = (
        f"the TFDS data set '{text}' is not prepared in '{data_dir}': build it there with "
        f"`python -m input_pipeline.readers.tfds.builders`, or name its folder, as in 'tfds:DIR#{text}'"
    )
    if versions:
        fault = f"'{parent}' has no version {match['version']}: it has {', '.join(versions)}"
    elif configs := [name for name in _folders(home) if _versions(home / name)]:
        fault = f"'{home}' is divided into configs, name one of {', '.join(configs)}, as in '{home.name}/{configs[0]}'"
    raise UserError(fault)


def _versions(directory: epath.Path) -> list[str]:
    """Return the versions prepared in a folder, the newest last."""
    found = map(tfds.core.Version, filter(tfds.core.Version.is_valid, _folders(directory)))
    return [str(version) for version in sorted(found)]


def _folders(directory: epath.Path) -> list[str]:
    with files.reading(directory, "check its rights"):
        return sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def _check_classes(path: epath.Path) -> None:
    """Raise ValueError if a feature is not TFDS' own: TFDS would import whatever module the file names."""
    text = files.read_limited(path, _MAX_FEATURES_BYTES, "features.json", remedy="build it again")
    foreign = [name for name in _class_names(json.loads(text)) if not str(name).startswith("tensorflow_datasets.")]
    if foreign:
        raise ValueError(f"features.json asks for the foreign class {foreign[0]}")


def _class_names(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("pythonClassName", "python_class_name", "type") if key in value)
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _class_names(item)
