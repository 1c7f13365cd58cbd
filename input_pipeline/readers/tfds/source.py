"""Data that tensorflow-datasets prepared as ArrayRecord files, read without TensorFlow.

Their specs are `tfds:[DIR#]NAME[/CONFIG][:VERSION][?SPLIT]`, see `prepared`.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from input_pipeline import labels, licences
from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded, read_mask
from input_pipeline.images.examples import assemble, check_ids
from input_pipeline.readers.splits import check_split
from input_pipeline.readers.tfds import prepared
from input_pipeline.readers.tfds.prepared import splits
from input_pipeline.types import Example, OpenOptions

__all__ = ["TfdsSource", "open_split", "splits"]

MASK_FEATURES = ("mask", "segmentation_mask", "label")
"""Feature names of masks; the first that is an image or an array of [H, W] or [H, W, 1] counts."""

# The errors of a damaged record: from array_record (RuntimeError), parsing its message, and conversion to arrays.
_DAMAGE = (RuntimeError, DecodeError, ValueError, KeyError, zlib.error)


class TfdsSource:
    """One split of a prepared data set; a `types.ReducedSource` and `types.MaskSource`.

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
        builder = prepared.builder(where)
        features = _features(where, builder)
        if not isinstance(features.get("image"), tfds.features.Image):
            raise UserError(f"the TFDS data set '{where}' has no image feature called 'image', only: {_list(features)}")
        self._mask_feature = next((name for name in MASK_FEATURES if _is_mask(features.get(name))), None)
        if self._mask_feature is None and require_masks:
            raise UserError(
                f"the TFDS data set '{where}' has no mask, a feature called {' or '.join(MASK_FEATURES)}, only: "
                f"{_list(features)}"
            )
        self.label_set = labels.get(_label_set_name(where, builder.info.metadata))
        self.licence = licences.tidy(builder.info.redistribution_info.license)
        self._place = f"{where}?{split}"
        self._records = _open_records(where, split, builder)
        if not len(self._records):
            raise UserError(f"the split '{split}' of the TFDS data set '{where}' holds no example")
        self.names: Sequence[str] = _Names(self)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        return self._read(index, None)

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `types.ReducedSource`."""
        return self._read(index, at_least)

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `types.MaskSource`."""
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
            raise UserError(f"record {index} of '{self._place}' is damaged ({error}): build the data anew") from error

    def name_of(self, index: int) -> str:
        """Return the face's own name if the data have one, else its number."""
        name = self.record(index).get("name")
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else f"{index:06d}"

    def _read(self, index: int, at_least: int | None) -> Example:
        record = self.record(index)
        landmarks = record.get("landmarks")
        found = landmarks is not None and len(landmarks) > 0
        image = Encoded(f"{self._place}[{index}] image", record["image"])
        return assemble(image, self._mask_of(record, index), landmarks if found else None, at_least=at_least)

    def _mask_of(self, record: dict[str, Any], index: int) -> np.ndarray | None:
        if self._mask_feature is None:
            return None
        name, value = f"{self._place}[{index}] {self._mask_feature}", record[self._mask_feature]
        mask = read_mask(Encoded(name, value)) if isinstance(value, bytes) else _ids(value, name)
        check_ids(mask, self.label_set, name)
        return mask


class _Names(Sequence):
    """The names of the faces, which are stored in the records: each is read on access."""

    def __init__(self, source: TfdsSource):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index):
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return tuple(map(self._source.name_of, numbers))
        return self._source.name_of(numbers)


def _features(where: str, builder: tfds.core.DatasetBuilder) -> dict[str, tfds.features.FeatureConnector]:
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise UserError(f"the TFDS data set '{where}' has no named features: an example needs at least an 'image'")
    return dict(features.items())


def _label_set_name(where: str, metadata: Any) -> str:
    name = metadata.get("label_set") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        raise UserError(
            f"the TFDS data set '{where}' does not say what its ids mean: give its builder the metadata "
            f"{{'label_set': NAME}} with NAME one of {', '.join(labels.LABEL_SETS)}"
        )
    return name


def _open_records(where: str, split: str, builder: tfds.core.DatasetBuilder) -> Sequence[dict[str, Any]]:
    pictures = [name for name, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)]
    try:
        return builder.as_data_source(split=split, decoders={name: tfds.decode.SkipDecoding() for name in pictures})
    except NotImplementedError as error:
        raise UserError(
            f"the TFDS data set '{where}' is not prepared as ArrayRecord files: build it with "
            "`tfds build --file_format array_record`"
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"the split '{split}' of the TFDS data set '{where}' is damaged ({error}): build it anew"
        ) from error


def _is_mask(feature: tfds.features.FeatureConnector | None) -> bool:
    if isinstance(feature, tfds.features.Image):
        return True
    shape = getattr(feature, "shape", ())
    return isinstance(feature, tfds.features.Tensor) and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 1))


def _ids(values: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of ids [H, W] or [H, W, 1] to uint8 [H, W]."""
    if values.dtype.kind not in "iu" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise UserError(f"'{name}' holds {values.dtype} values that are no class ids from 0 to 255")
    return values.reshape(values.shape[:2]).astype(np.uint8)


def _list(features: dict) -> str:
    return ", ".join(sorted(features))


def open_split(where: str, split: str, options: OpenOptions) -> TfdsSource:
    """Open `tfds:WHERE?split`.

    Raises:
      UserError: no such split, and as `TfdsSource`.
    """
    check_split("tfds", where, split, splits(where))
    return TfdsSource(where, split, require_masks=options.require_masks)
