"""Count faces, classes and pixels, from the face statistics of a scan or from the manifest of records."""

from typing import NamedTuple

import numpy as np

from input_pipeline.readers.records.manifest import Manifest, spread
from input_pipeline.types import Source


class ClassCounts(NamedTuple):
    """Counts over the faces of one split; K classes in the order of its label set.

    Attributes:
      faces: number of readable faces.
      labelled: number of those that have a mask.
      presence: int64 [K], number of labelled faces that have the class.
      pixels: int64 [K], number of pixels of the class.
      ignored: number of pixels of value 255.
      heights, widths: (smallest, median, largest) of the photos, pixels.
      image_sizes: (height, width) -> number of faces, the most frequent first; None if not known.
      median_share: float64 [K], median share of the mask's area over the faces that have the class, NaN if none has;
        None if not known.
    """

    faces: int
    labelled: int
    presence: np.ndarray
    pixels: np.ndarray
    ignored: int
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    image_sizes: dict[tuple[int, int], int] | None
    median_share: np.ndarray | None


def count(stats: np.ndarray) -> ClassCounts:
    """Return the counts of records [N] of `scan.row_dtype`; broken faces do not count."""
    stats = stats[stats["readable"]]
    area = stats["mask_size"].astype(np.int64).prod(axis=1)
    labelled = stats[area > 0]
    pixels = labelled["pixels"].astype(np.int64)
    shares = pixels / area[area > 0, None]
    return ClassCounts(
        faces=len(stats),
        labelled=len(labelled),
        presence=(pixels > 0).sum(axis=0),
        pixels=pixels.sum(axis=0),
        ignored=int(labelled["ignored"].sum(dtype=np.int64)),
        heights=spread(stats["image_size"][:, 0]),
        widths=spread(stats["image_size"][:, 1]),
        image_sizes=_frequencies(stats["image_size"]),
        median_share=np.array([_median(column[column > 0]) for column in shares.T]),
    )


def stored(source: Source, split: str) -> ClassCounts | None:
    """Return the counts of a complete split of records, from their manifest; None for other sources."""
    kept = getattr(source, "manifest", None)
    if not isinstance(kept, Manifest):
        return None
    numbers, names = kept.splits[split], source.label_set.names
    return ClassCounts(
        faces=numbers.examples,
        labelled=numbers.labelled,
        presence=np.array([numbers.class_images[name] for name in names]),
        pixels=np.array([numbers.class_pixels[name] for name in names]),
        ignored=numbers.ignored_pixels,
        heights=numbers.heights,
        widths=numbers.widths,
        image_sizes=None,
        median_share=None,
    )


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _frequencies(sizes: np.ndarray) -> dict[tuple[int, int], int]:
    values, counts = np.unique(sizes, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {tuple(values[k].tolist()): int(counts[k]) for k in order}
