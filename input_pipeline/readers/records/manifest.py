"""The manifest of a finished folder of records, `manifest.json`: written by `prepare`, checked at every read."""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from input_pipeline import label_files
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet

FILE = "manifest.json"
MAX_BYTES = 1 << 26
"""Maximum size of a manifest that is read, bytes: hundreds of thousands of shards."""

_FORMAT = "l2s_jax records"
_VERSION = 1
_FILE_NAME = re.compile(r"\w[\w.-]{0,199}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 1 << 53  # the largest integer that every JSON reader knows exactly; the sum over all classes still fits 64 bits


class Stored(NamedTuple):
    """A file of the folder, its size in bytes and its SHA-256 (hexadecimal)."""

    file: str
    bytes: int
    sha256: str


class ShardFile(NamedTuple):
    """A shard and its number of faces."""

    stored: Stored
    examples: int


class Split(NamedTuple):
    """One split.

    Attributes:
      examples: number of faces.
      labelled: number of faces with a mask.
      broken: number of faces that were left out.
      shards: in the order of the faces.
      names: the file of the names, UTF-8, one a line.
      presence: the file of `np.packbits(presence [N, K], axis=1)`.
      class_pixels: class -> number of pixels in all masks.
      class_images: class -> number of faces that show it.
      ignored_pixels: pixels of value 255.
      heights, widths: (smallest, median, largest) of the photos, pixels.
    """

    examples: int
    labelled: int
    broken: int
    shards: tuple[ShardFile, ...]
    names: Stored
    presence: Stored
    class_pixels: Mapping[str, int]
    class_images: Mapping[str, int]
    ignored_pixels: int
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]

    @property
    def files(self) -> tuple[Stored, ...]:
        """Return every file of the split."""
        return (*(shard.stored for shard in self.shards), self.names, self.presence)


class Manifest(NamedTuple):
    """A folder of records.

    Attributes:
      layout, variant, title, licence: of the raw data, see `downloads.layout.Layout`.
      size: longer side that photos were shrunk to, pixels; None if they were not shrunk.
      label_set: of the masks.
      splits: by name; "" is data without splits.
    """

    layout: str
    variant: str | None
    title: str
    licence: str
    size: int | None
    label_set: LabelSet
    splits: Mapping[str, Split]


def to_json(manifest: Manifest) -> dict:
    """Return the JSON object of a manifest."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        **manifest._asdict(),
        "label_set": label_files.to_json(manifest.label_set),
        "splits": {name: _split_to_json(split) for name, split in manifest.splits.items()},
    }


def _split_to_json(split: Split) -> dict:
    return {
        **split._asdict(),
        "shards": [{**shard.stored._asdict(), "examples": shard.examples} for shard in split.shards],
        "names": split.names._asdict(),
        "presence": split.presence._asdict(),
    }


def from_json(text: bytes, name: str) -> Manifest:
    """Parse an untrusted manifest file and check it.

    Args:
      text: content of the file.
      name: the file, for error messages.

    Raises:
      UserError: it is damaged, or of a later version.
    """
    try:
        content = json.loads(text)
        _check(isinstance(content, dict) and content.get("format") == _FORMAT, "it is no manifest of records")
        if content["version"] != _VERSION:
            raise UserError(f"'{name}' is of version {str(content['version'])[:20]!r}: install a newer l2s_jax")
        label_set = label_files.from_json(content["label_set"], name)
        _check(isinstance(content["splits"], dict) and content["splits"], "it has no splits")
        return Manifest(
            layout=_text(content["layout"]),
            variant=None if content["variant"] is None else _text(content["variant"]),
            title=_text(content["title"]),
            licence=_text(content["licence"]),
            size=None if content["size"] is None else _count(content["size"]),
            label_set=label_set,
            splits={_split_name(key): _split(value, label_set) for key, value in content["splits"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"'{name}' is damaged ({error}): prepare or copy the records again") from error


def _split(content: dict, label_set: LabelSet) -> Split:
    split = Split(
        examples=_count(content["examples"]),
        labelled=_count(content["labelled"]),
        broken=_count(content["broken"]),
        shards=tuple(ShardFile(_stored(shard), _count(shard["examples"])) for shard in content["shards"]),
        names=_stored(content["names"]),
        presence=_stored(content["presence"]),
        class_pixels=_by_class(content["class_pixels"], label_set),
        class_images=_by_class(content["class_images"], label_set),
        ignored_pixels=_count(content["ignored_pixels"]),
        heights=_three(content["heights"]),
        widths=_three(content["widths"]),
    )
    _check(split.examples > 0, "it has a split without faces")
    _check(sum(shard.examples for shard in split.shards) == split.examples, "its shards do not add up")
    _check(split.labelled <= split.examples, "it has more masks than faces")
    _check(max(split.class_images.values()) <= split.labelled, "more faces have a class than there are masks")
    _check(split.presence.bytes == split.examples * -(-len(label_set) // 8), "its presence has another size")
    names = [stored.file for stored in split.files]
    _check(len(set(names)) == len(names), "it names one file twice")
    return split


def _stored(content: dict) -> Stored:
    file, digest = _text(content["file"]), _text(content["sha256"])
    _check(_FILE_NAME.fullmatch(file) is not None, "a file name it gives is none")
    _check(_SHA256.fullmatch(digest) is not None, "a checksum it gives is none")
    return Stored(file, _count(content["bytes"]), digest)


def _by_class(content: dict, label_set: LabelSet) -> dict[str, int]:
    _check(tuple(content) == label_set.names, "it counts other classes")
    return {name: _count(value) for name, value in content.items()}


def _three(content: list) -> tuple[int, int, int]:
    smallest, median, largest = content
    return _count(smallest), _count(median), _count(largest)


def _split_name(name: str) -> str:
    _check(not name or _FILE_NAME.fullmatch(name) is not None, "a split has an unusable name")
    return name


def _text(value: object) -> str:
    _check(isinstance(value, str) and len(value) <= 4096, "a text is missing or endless")
    return value


def _count(value: object) -> int:
    _check(type(value) is int and 0 <= value < _MOST, "a number is missing or out of range")
    return value


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
