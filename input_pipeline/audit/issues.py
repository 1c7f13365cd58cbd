"""Find the issues of a data set, from the face statistics of a scan: faults to fix, and findings to review."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from input_pipeline import types
from input_pipeline.audit import duplicates, placement, sides
from input_pipeline.audit.scan import Scan
from input_pipeline.labels import LabelSet
from input_pipeline.types import Source


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
      title: for people.
      is_error: the data set must be fixed; False: the finding deserves a review.
    """

    title: str
    is_error: bool


KINDS: Mapping[str, Kind] = {  # the worst first
    "incomplete": Kind("lacks a part", is_error=True),
    "broken": Kind("cannot be read", is_error=True),
    "unknown_ids": Kind("ids outside the label set", is_error=True),
    "damaged_records": Kind("records do not match their checksums", is_error=True),
    "unusable_landmarks": Kind("landmarks that show no face", is_error=True),
    "landmark_frame": Kind("landmarks of another frame than the photos", is_error=True),
    "leak": Kind("the same picture in two splits", is_error=False),
    "near_leak": Kind("nearly the same picture in two splits", is_error=False),
    "swapped_sides": Kind("left and right are swapped", is_error=False),
    "mixed_sides": Kind("left and right are swapped in some parts", is_error=False),
    "swapped_landmarks": Kind("left and right landmarks are swapped", is_error=False),
    "misplaced_landmarks": Kind("landmarks beside the face", is_error=False),
    "landmark_counts": Kind("different numbers of landmarks", is_error=False),
    "duplicate": Kind("the same picture twice", is_error=False),
    "near_duplicate": Kind("nearly the same picture twice", is_error=False),
    "unlabelled": Kind("no mask", is_error=False),
    "small_photo": Kind("a photo smaller than its mask", is_error=False),
    "plain_mask": Kind("a mask of one class", is_error=False),
    "ignored_mask": Kind("a mask that is ignored everywhere", is_error=False),
    "empty_class": Kind("a class that no face has", is_error=False),
}


class Finding(NamedTuple):
    """One issue of a data set.

    Attributes:
      kind: key of `KINDS`.
      split: title of the split, or "" if the finding concerns the entire data set.
      name: the face; for `empty_class` the class, for `landmark_frame` and `landmark_counts` "landmarks".
      detail: the details, a clause for people.
      other: (split, name) of the earlier photo, for copies.
    """

    kind: str
    split: str
    name: str
    detail: str
    other: tuple[str, str] | None = None


class ScannedSplit(NamedTuple):
    """A split and its scan."""

    source: Source
    scan: Scan


def inspect(parts: Mapping[str, ScannedSplit]) -> list[Finding]:
    """Find all issues, the worst kinds first, otherwise in the order of the faces.

    Args:
      parts: splits by title; copies are searched for within and across them.
    """
    found: list[Finding] = []
    for title, part in parts.items():
        found += _faults(title, part)
        found += _masks(title, part)
        found += _sides(title, part)
        found += _landmarks(title, part)
    found += _copies(parts)
    found += _empty_classes(parts)
    order = list(KINDS)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def has_errors(found: Sequence[Finding]) -> bool:
    """Return whether some finding makes the data set unusable until it is fixed."""
    return any(KINDS[finding.kind].is_error for finding in found)


def _faults(title: str, part: ScannedSplit) -> Iterator[Finding]:
    for problem in types.problems(part.source):
        yield Finding("incomplete", title, problem.name, f"'{problem.path}' {problem.reason}")
    for problem in part.scan.broken:
        yield Finding("broken", title, problem.name, problem.reason)
    for problem in types.verify(part.source):
        yield Finding("damaged_records", title, problem.name, f"'{problem.path}' {problem.reason}")


def _masks(title: str, part: ScannedSplit) -> Iterator[Finding]:
    stats, names, label_set = part.scan.stats, part.source.names, part.source.label_set
    area = stats["mask_size"].astype(np.int64).prod(axis=1)
    known = stats["pixels"].sum(axis=1, dtype=np.int64) + stats["ignored"]
    for index in np.flatnonzero(known < area):
        detail = f"{area[index] - known[index]} pixels have ids outside label set '{label_set.name}'"
        yield Finding("unknown_ids", title, names[index], detail)
    for index in np.flatnonzero(stats["readable"] & (area == 0)):
        yield Finding("unlabelled", title, names[index], "has no mask")
    # Integer multiples can be read, but nobody draws masks finer than photos: placeholders of one pixel look like this.
    for index in np.flatnonzero((stats["mask_size"] > stats["image_size"]).any(axis=1)):
        (height, width), (h, w) = stats["mask_size"][index], stats["image_size"][index]
        yield Finding("small_photo", title, names[index], f"has {w} x {h} pixels, its mask {width} x {height}")
    classes = (stats["pixels"] > 0).sum(axis=1)
    for index in np.flatnonzero((classes == 1) & (known == area)):
        name = label_set.names[stats["pixels"][index].argmax()]
        yield Finding("plain_mask", title, names[index], f"every pixel that counts is '{name}'")
    for index in np.flatnonzero((area > 0) & (stats["ignored"] == area)):
        yield Finding("ignored_mask", title, names[index], "no pixel counts")


def _sides(title: str, part: ScannedSplit) -> Iterator[Finding]:
    stats, names, label_set = part.scan.stats, part.source.names, part.source.label_set
    separation = sides.separations(stats, label_set)
    verdict = sides.verdicts(separation)
    for kind, value in (("swapped_sides", sides.Verdict.SWAPPED), ("mixed_sides", sides.Verdict.MIXED)):
        for index in np.flatnonzero(verdict == value):
            yield Finding(kind, title, names[index], _swapped_parts(separation[index], label_set))
    for index in np.flatnonzero(stats["eyes_apart"] < 0):
        yield Finding("swapped_landmarks", title, names[index], "the subject's left eye lies left of the right one")


_FRAME_FACES = 3  # this many faces, and at least half of them, are no accident


def _landmarks(title: str, part: ScannedSplit) -> Iterator[Finding]:
    stats, names, label_set = part.scan.stats, part.source.names, part.source.label_set
    marked = stats["points"] > 0
    usable = marked.copy()
    for index in np.flatnonzero(marked):
        fault = _fault(stats[index])
        if fault:
            usable[index] = False
            yield Finding("unusable_landmarks", title, names[index], fault)
    apart = np.where(usable, placement.distances(stats, label_set), np.nan)
    far = apart > placement.LIMIT
    for index in np.flatnonzero(far | (usable & (stats["points_inside"] < placement.MIN_INSIDE))):
        detail = f"{1 - stats['points_inside'][index]:.0%} of the points lie outside of the photo"
        if far[index]:
            detail = f"eyes, nose and mouth lie {apart[index]:.1f} face sizes from those of the mask"
        yield Finding("misplaced_landmarks", title, names[index], detail)
    measured = np.isfinite(apart)
    if far.sum() >= max(_FRAME_FACES, measured.sum() / 2):
        share = f"{far.sum()} of {measured.sum()} faces have their landmarks beside the face"
        detail = f"{share}; {_remedy(stats[far], label_set)}"
        yield Finding("landmark_frame", title, "landmarks", detail)
    yield from _counts(title, stats)


def _fault(row: np.ndarray) -> str | None:
    """Return why the landmarks of a face are unusable, or None."""
    if not row["points_finite"]:
        return "some numbers are not finite"
    if row["points_spread"] < placement.MIN_SPREAD:
        return (
            f"all points lie within {row['points_spread']:.2g} pixels of each other (are they fractions of the photo?)"
        )
    if row["points_inside"] == 0:
        return "no point lies in the photo"
    return None


def _remedy(stats: np.ndarray, label_set: LabelSet) -> str:
    scale = placement.fitting_scale(stats, label_set)
    fitted = np.median(placement.distances(stats, label_set, scale=scale)) <= placement.LIMIT / 2
    if fitted:
        return f"multiplied by {scale:.3g} they fit"
    return "no scale makes them fit: they may belong to other photos, or to other crops of them"


def _counts(title: str, stats: np.ndarray) -> Iterator[Finding]:
    """Yield a finding if the faces of a data set have different numbers of points, or some have none."""
    numbers, faces = np.unique(stats["points"][stats["readable"]], return_counts=True)
    if len(numbers) > 1:
        counted = zip(numbers.tolist(), faces.tolist(), strict=True)
        detail = ", ".join(f"{count} face{'s' * (count > 1)} with {number or 'none'}" for number, count in counted)
        yield Finding("landmark_counts", title, "landmarks", detail)


def _swapped_parts(separation: np.ndarray, label_set: LabelSet) -> str:
    pairs = zip(sides.partners(label_set), separation, strict=True)
    wrong = [f"'{left}' lies left of '{right}'" for (left, right), apart in pairs if apart <= -sides.MIN_SEPARATION]
    return " and ".join(wrong)


def _copies(parts: Mapping[str, ScannedSplit]) -> Iterator[Finding]:
    places = [(title, name) for title, part in parts.items() for name in part.source.names]
    if not places:
        return
    columns = ["digest", "hash", "mirrored_hash", "colours"]
    stats = np.concatenate([part.scan.stats[["readable", *columns]] for part in parts.values()])
    split = np.repeat(np.arange(len(parts)), [len(part.source) for part in parts.values()])
    readable = np.flatnonzero(stats["readable"])
    for copy in duplicates.copies(stats[columns][readable], split[readable]):
        (title, name), other = places[readable[copy.index]], places[readable[copy.of]]
        kind = "leak" if title != other[0] else "duplicate"
        where = "/".join(filter(None, other))
        if copy.same:
            yield Finding(kind, title, name, f"has the pixels of {where}", other)
        else:
            mirror = "mirrored, " if copy.mirrored else ""
            yield Finding(
                f"near_{kind}",
                title,
                name,
                f"looks like {where} ({mirror}distance {copy.distance:.0f}, at most {duplicates.LIMIT:.0f})",
                other,
            )


def _empty_classes(parts: Mapping[str, ScannedSplit]) -> Iterator[Finding]:
    """Yield classes that no face has, over all splits of one label set together; none for data without masks."""
    by_set = sorted(parts.values(), key=lambda part: part.source.label_set.name)
    for name, group in itertools.groupby(by_set, key=lambda part: part.source.label_set.name):
        members = list(group)
        label_set = members[0].source.label_set
        total = sum(member.scan.stats["pixels"].sum(axis=0, dtype=np.int64) for member in members)
        for label in label_set.labels if total.any() else ():
            if total[label.id] == 0:
                yield Finding("empty_class", "", label.name, f"no mask has '{label.name}' of label set '{name}'")
