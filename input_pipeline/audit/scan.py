"""Read every face of a source once, in parallel processes, and keep a row of statistics of it.

A row has a few hundred bytes, enough for every check and every summary.
"""

import contextlib
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from input_pipeline import processes
from input_pipeline.audit import placement
from input_pipeline.audit.duplicates import colours, perceptual_hash
from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.types import Example, Problem, Source

_CHUNK = 32  # faces per task: long enough to hide the cost of sending it, short enough for a responsive progress bar


class Scan(NamedTuple):
    """The result of a scan.

    Attributes:
      stats: records [N] of `row_dtype`, in the order of the source.
      broken: the faces that could not be read, and why, in that order.
    """

    stats: np.ndarray
    broken: list[Problem]


def scan(source: Source, *, jobs: int | None = None, progress: Callable[[int], None] = lambda faces: None) -> Scan:
    """Read every face of a source once and compute its statistics.

    Args:
      source: any source; it must be picklable if there are several jobs.
      jobs: processes; None is one for each CPU core this process may use. One job, or few faces, start no process.
      progress: called with the number of newly read faces.

    Raises:
      UserError: a process was killed from outside, e.g. for lack of memory, or the names cannot be read. Faces that
        cannot be read raise nothing.
    """
    stats, faults = np.zeros(len(source), row_dtype(source.label_set)), {}
    tasks = [range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK)]
    jobs = min(jobs or processes.cores(), len(tasks))
    alone = ((task, _measure_chunk(source, task)) for task in tasks)
    with contextlib.closing(processes.run(_measure_chunk, source, tasks, jobs) if jobs > 1 else alone) as results:
        for task, (rows, found) in results:
            stats[task.start : task.stop] = rows
            faults.update(found)
            progress(len(task))
    return Scan(stats, [Problem(source.names[index], "", faults[index]) for index in sorted(faults)])


def _measure_chunk(source: Source, task: range) -> tuple[np.ndarray, dict[int, str]]:
    """Return rows of statistics, and the errors of the faces that cannot be read, by their index."""
    stats, faults = np.zeros(len(task), row_dtype(source.label_set)), {}
    for row, index in enumerate(task):
        try:
            stats[row] = measure_face(source[index], source.label_set)
        except UserError as error:
            faults[index] = str(error)
    return stats, faults


def row_dtype(label_set: LabelSet) -> np.dtype:
    """Return the dtype of the table of face statistics: one record for each face.

    Fields:
      readable: False where reading the face raised an error; then every other field is zero.
      image_size, mask_size: int32 [2], height and width in pixels; a face without mask has (0, 0).
      pixels: int32 [K], pixels of each class of the label set.
      ignored: int32, pixels of value 255. The rest of the mask's area has ids outside the label set.
      centroid: float32 [K, 2], mean (x, y) of each class as fractions of the mask's width and height; NaN if absent.
      points: int32, the number of landmarks; 0 if none.
      points_finite, points_inside, points_spread, five: see `placement.Points`; False and NaN without landmarks.
      eyes_apart: float32, x of the subject's left eye minus x of the right one by the landmarks, as a fraction of the
        photo's width; NaN without landmarks of a known scheme.
      digest: uint64 [2], of the photo's pixels.
      hash, mirrored_hash: uint64 [2], `perceptual_hash` of the photo and of its mirror image.
      colours: int16 [4, 4, 2], `colours` of the photo.
    """
    classes = len(label_set)
    return np.dtype(
        [
            ("readable", bool),
            ("image_size", np.int32, 2),
            ("mask_size", np.int32, 2),
            ("pixels", np.int32, classes),
            ("ignored", np.int32),
            ("centroid", np.float32, (classes, 2)),
            ("points", np.int32),
            ("points_finite", bool),
            ("points_inside", np.float32),
            ("points_spread", np.float32),
            ("five", np.float32, (5, 2)),
            ("eyes_apart", np.float32),
            ("digest", np.uint64, 2),
            ("hash", np.uint64, 2),
            ("mirrored_hash", np.uint64, 2),
            ("colours", np.int16, (4, 4, 2)),
        ]
    )


def measure_face(example: Example, label_set: LabelSet) -> np.ndarray:
    """Compute the statistics of one face.

    Args:
      example: image uint8 [H, W, 3], mask uint8 [h, w] of `label_set` or absent, landmarks float32 [K, 2] or absent.
      label_set: of the mask.

    Returns:
      A record [] of `row_dtype(label_set)`.
    """
    row = np.zeros((), row_dtype(label_set))
    image = example["image"]
    row["readable"] = True
    row["image_size"] = image.shape[:2]
    row["digest"] = _digest(image)
    row["hash"] = perceptual_hash(image)
    row["mirrored_hash"] = perceptual_hash(image[:, ::-1])
    row["colours"] = colours(image)
    _measure_landmarks(row, example.get("landmarks"), image.shape[:2])
    row["centroid"] = np.nan
    if "mask" in example:
        measure_mask(row, example["mask"], label_set)
    return row


def measure_mask(row: np.ndarray, mask: np.ndarray, label_set: LabelSet) -> None:
    """Write the fields of a row that depend only on the mask.

    Args:
      row: record [] of `row_dtype(label_set)`.
      mask: uint8 [h, w].
      label_set: of the mask.
    """
    row["mask_size"] = mask.shape
    by_column, by_row = _profiles(mask), _profiles(mask.T)
    pixels = by_column.sum(axis=1)
    row["pixels"], row["ignored"] = pixels[: len(label_set)], pixels[IGNORE]
    row["centroid"] = np.stack([_means(by_column), _means(by_row)], axis=-1)[: len(label_set)]


def _profiles(mask: np.ndarray) -> np.ndarray:
    """Return int64 [256, w]: how often each value occurs in each column of a mask [h, w]."""
    width = mask.shape[1]
    slots = mask.astype(np.int64) * width + np.arange(width)
    return np.bincount(slots.ravel(), minlength=256 * width).reshape(256, width)


def _means(profile: np.ndarray) -> np.ndarray:
    """Return float64 [256]: the mean position of each value as a fraction of the side; NaN for absent values."""
    side = profile.shape[1]
    total = profile.sum(axis=1)
    moment = profile @ ((np.arange(side) + 0.5) / side)
    return np.divide(moment, total, out=np.full(256, np.nan), where=total > 0)


def _measure_landmarks(row: np.ndarray, landmarks: np.ndarray | None, size: tuple[int, int]) -> None:
    for field in ("points_inside", "points_spread", "five", "eyes_apart"):
        row[field] = np.nan
    if landmarks is None or not len(landmarks):
        return
    points = placement.measure(landmarks, size)
    row["points"] = len(landmarks)
    row["points_finite"], row["points_inside"], row["points_spread"], row["five"] = points
    right, left = points.five[:2, 0]
    row["eyes_apart"] = left - right


def _digest(image: np.ndarray) -> np.ndarray:
    """Return a hash, uint64 [2], equal for equal images; 128 bits do not collide by accident."""
    content = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    content.update(np.ascontiguousarray(image))
    return np.frombuffer(content.digest(), np.uint64)
