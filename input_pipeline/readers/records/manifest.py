"""The manifest of a finished folder of records, `manifest.json`: written by `prepare`, checked at every read."""

import json
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple

import numpy as np

from input_pipeline import label_files
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from input_pipeline.readers.records import schema

FILE = "manifest.json"
MAX_BYTES = 1 << 26
"""Maximum size of a manifest that is read, bytes: hundreds of thousands of shards."""

_FORMAT, _VERSION = "l2s_jax records", 1
FileName = Annotated[str, r"\w[\w.-]{0,199}"]
SplitName = Annotated[str, r"(\w[\w.-]{0,199})?"]
Sha256 = Annotated[str, r"[0-9a-f]{64}"]


class _Header(NamedTuple):
    format: Annotated[str, _FORMAT]
    version: int


class StoredFile(NamedTuple):
    """A file of the folder, its size in bytes and its SHA-256 (hexadecimal)."""

    file: FileName
    bytes: int
    sha256: Sha256


class ShardFile(NamedTuple):
    """A shard, as `StoredFile`, and its number of faces."""

    file: FileName
    bytes: int
    sha256: Sha256
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
    names: StoredFile
    presence: StoredFile
    class_pixels: Mapping[str, int]
    class_images: Mapping[str, int]
    ignored_pixels: int
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Return every file of the split."""
        return (*(StoredFile(*shard[:3]) for shard in self.shards), self.names, self.presence)


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
    splits: Mapping[SplitName, Split]


def spread(lengths: np.ndarray) -> tuple[int, int, int]:
    """Return (smallest, median, largest), zeros if empty; an even number has the lower median, a length that occurs."""
    ordered = np.sort(lengths) if len(lengths) else np.zeros(1, np.int64)
    return int(ordered[0]), int(ordered[(len(ordered) - 1) // 2]), int(ordered[-1])


def to_json(manifest: Manifest) -> dict:
    """Return the JSON object of a manifest."""
    content = manifest._asdict() | {"label_set": label_files.to_json(manifest.label_set)}
    return {"format": _FORMAT, "version": _VERSION, **schema.to_json(content)}


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
        version = schema.parse(content, _Header).version
        if version == _VERSION:
            kinds = typing.get_type_hints(Manifest, include_extras=True)
            fields = {key: schema.parse(content.get(key), kind) for key, kind in kinds.items() if key != "label_set"}
            return _checked(Manifest(label_set=label_files.from_json(content.get("label_set"), name), **fields))
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{name}' is damaged ({error}): prepare or copy the records again") from error
    raise UserError(f"'{name}' is of version '{version}': install a newer l2s_jax")


def _checked(made: Manifest) -> Manifest:
    """Return a manifest whose fields are sound each by itself; raise ValueError if they contradict one another."""
    for fault in _contradictions(made):
        raise ValueError(fault)
    return made


def _contradictions(made: Manifest) -> Iterator[str]:
    if not made.splits:
        yield "it has no splits"
    for split in made.splits.values():
        if not 0 < split.examples == sum(shard.examples for shard in split.shards):
            yield "its faces do not add up"
        for counts in (split.class_pixels, split.class_images):
            if tuple(counts) != made.label_set.names:
                yield "it counts other classes"
        if not max(split.class_images.values()) <= split.labelled <= split.examples:
            yield "it has more masks than faces, or more faces of a class than masks"
        if split.presence.bytes != split.examples * -(-len(made.label_set) // 8):
            yield "its presence has another size"
        if len({stored.file for stored in split.files}) < len(split.files):
            yield "it names one file twice"
