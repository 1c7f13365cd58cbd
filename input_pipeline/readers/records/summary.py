"""Aggregation of the shards' indexes to a split: the files of all names and classes, and the manifest's numbers."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from input_pipeline import files
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.readers.records import plan
from input_pipeline.readers.records.manifest import ShardFile, Split, Stored
from input_pipeline.readers.records.shards import Contents


def write(folder: Path, split: str, contents: Iterable[Contents], label_set: LabelSet, problems: int) -> Split:
    """Write FOLDER/SPLIT.names and FOLDER/SPLIT.presence, and return the split's entry in the manifest.

    Args:
      folder: of the records.
      split: its name.
      contents: of its shards in order, iterated once.
      label_set: of the masks.
      problems: number of faces that are in no shard.

    Raises:
      UserError: the write fails.
    """
    shards, sizes = [], [np.zeros((0, 2), np.int64)]
    pixels, images = np.zeros(IGNORE + 1, np.int64), np.zeros(len(label_set), np.int64)
    labelled, broken = 0, problems
    names, presence = (folder / f"{plan.prefix(split)}.{kind}" for kind in ("names", "presence"))
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(files.replacing(path)) for path in (names, presence)]
        with parts[0].open("wb") as name_file, parts[1].open("wb") as presence_file:
            for found in contents:
                name_file.writelines(f"{name}\n".encode() for name in found.names)
                presence_file.write(np.packbits(found.presence, axis=1).tobytes())
                shards.append(ShardFile(Stored(found.file, found.bytes, found.sha256), len(found.names)))
                sizes.append(found.sizes)
                pixels += found.pixels
                images += found.presence.sum(axis=0)
                labelled += found.labelled
                broken += len(found.broken)
    heights, widths = map(_spread, np.concatenate(sizes).T)
    return Split(
        examples=sum(shard.examples for shard in shards),
        labelled=labelled,
        broken=broken,
        shards=tuple(shards),
        names=_stored(names),
        presence=_stored(presence),
        class_pixels=dict(zip(label_set.names, pixels.tolist(), strict=False)),  # as many as there are classes
        class_images=dict(zip(label_set.names, images.tolist(), strict=True)),
        ignored_pixels=int(pixels[IGNORE]),
        heights=heights,
        widths=widths,
    )


def _spread(lengths: np.ndarray) -> tuple[int, int, int]:
    """Return (smallest, median, largest); an even number has the lower median, a length that occurs."""
    ordered = np.sort(lengths) if len(lengths) else np.zeros(1, np.int64)
    return int(ordered[0]), int(ordered[(len(ordered) - 1) // 2]), int(ordered[-1])


def _stored(path: Path) -> Stored:
    content = path.read_bytes()
    return Stored(path.name, len(content), hashlib.sha256(content).hexdigest())
