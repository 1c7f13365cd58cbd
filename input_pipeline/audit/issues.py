"""Issues of a data set, from the face statistics of a scan: faults to fix, and findings to review."""

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
      mend: the data set must be fixed; False: the finding deserves a review.
    """

    title: str
    mend: bool


KINDS: Mapping[str, Kind] = {  # the worst first
    "incomplete": Kind("lacks a part", mend=True),
    "broken": Kind("cannot be read", mend=True),
    "unknown_ids": Kind("ids outside the label set", mend=True),
    "damaged_records": Kind("records do not match their checksums", mend=True),
    "unusable_landmarks": Kind("landmarks that show no face", mend=True),
    "landmark_frame": Kind("landmarks of another frame than the photos", mend=True),
    "leak": Kind("the same picture in two splits", mend=False),
    "near_leak": Kind("nearly the same picture in two splits", mend=False),
    "swapped_sides": Kind("left and right are swapped", mend=False),
    "mixed_sides": Kind("left and right are swapped in some parts", mend=False),
    "swapped_landmarks": Kind("left and right landmarks are swapped", mend=False),
    "misplaced_landmarks": Kind("landmarks beside the face", mend=False),
    "landmark_counts": Kind("different numbers of landmarks", mend=False),
    "duplicate": Kind("the same picture twice", mend=False),
    "near_duplicate": Kind("nearly the same picture twice", mend=False),
    "unlabelled": Kind("no mask", mend=False),
    "small_photo": Kind("a photo smaller than its mask", mend=False),
    "plain_mask": Kind("a mask of one class", mend=False),
    "ignored_mask": Kind("a mask that is ignored everywhere", mend=False),
    "empty_class": Kind("a class that no face has", mend=False),
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


class Part(NamedTuple):
    """A split and its scan."""

    source: Source
    scan: Scan


def inspect(parts: Mapping[str, Part]) -> list[Finding]:
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


def must_be_mended(found: Sequence[Finding]) -> bool:
    """Return whether some finding makes the data set unusable until it is fixed."""
    return any(KINDS[finding.kind].mend for finding in found)


def _faults(title: str, part: Part) -> Iterator[Finding]:
    for problem in types.problems(part.source):
        yield Finding("incomplete", title, problem.name, f"'{problem.path}' {problem.reason}")
    for problem in part.scan.broken:
        yield Finding("broken", title, problem.name, problem.reason)
    for problem in types.verify(part.source):
        yield Finding("damaged_records", title, problem.name, f"'{problem.path}' {problem.reason}")


def _masks(title: str, part: Part) -> Iterator[Finding]:
    facts, names, label_set = part.scan.facts, part.source.names, part.source.label_set
    area = facts["mask_size"].astype(np.int64).prod(axis=1)
    known = facts["pixels"].sum(axis=1, dtype=np.int64) + facts["ignored"]
    for index in np.flatnonzero(known < area):
        detail = f"{area[index] - known[index]} pixels have ids outside label set '{label_set.name}'"
        yield Finding("unknown_ids", title, names[index], detail)
    for index in np.flatnonzero(facts["readable"] & (area == 0)):
        yield Finding("unlabelled", title, names[index], "has no mask")
    # Integer multiples can be read, but nobody draws masks finer than photos: placeholders of one pixel look like this.
    for index in np.flatnonzero((facts["mask_size"] > facts["image_size"]).any(axis=1)):
        (height, width), (h, w) = facts["mask_size"][index], facts["image_size"][index]
        yield Finding("small_photo", title, names[index], f"has {w} x {h} pixels, its mask {width} x {height}")
    classes = (facts["pixels"] > 0).sum(axis=1)
    for index in np.flatnonzero((classes == 1) & (known == area)):
        name = label_set.names[facts["pixels"][index].argmax()]
        yield Finding("plain_mask", title, names[index], f"every pixel that counts is '{name}'")
    for index in np.flatnonzero((area > 0) & (facts["ignored"] == area)):
        yield Finding("ignored_mask", title, names[index], "no pixel counts")


def _sides(title: str, part: Part) -> Iterator[Finding]:
    facts, names, label_set = part.scan.facts, part.source.names, part.source.label_set
    separation = sides.separations(facts, label_set)
    verdict = sides.verdicts(separation)
    for kind, value in (("swapped_sides", sides.Verdict.SWAPPED), ("mixed_sides", sides.Verdict.MIXED)):
        for index in np.flatnonzero(verdict == value):
            yield Finding(kind, title, names[index], _swapped_parts(separation[index], label_set))
    for index in np.flatnonzero(facts["eyes_apart"] < 0):
        yield Finding("swapped_landmarks", title, names[index], "the subject's left eye lies left of the right one")


_FRAME_FACES = 3  # this many faces, and at least half of them, are no accident


def _landmarks(title: str, part: Part) -> Iterator[Finding]:
    facts, names, label_set = part.scan.facts, part.source.names, part.source.label_set
    marked = facts["points"] > 0
    usable = marked.copy()
    for index in np.flatnonzero(marked):
        fault = _fault(facts[index])
        if fault:
            usable[index] = False
            yield Finding("unusable_landmarks", title, names[index], fault)
    apart = np.where(usable, placement.distances(facts, label_set), np.nan)
    far = apart > placement.LIMIT
    for index in np.flatnonzero(far | (usable & (facts["points_inside"] < placement.MIN_INSIDE))):
        detail = f"{1 - facts['points_inside'][index]:.0%} of the points lie outside of the photo"
        if far[index]:
            detail = f"eyes, nose and mouth lie {apart[index]:.1f} face sizes from those of the mask"
        yield Finding("misplaced_landmarks", title, names[index], detail)
    measured = np.isfinite(apart)
    if far.sum() >= max(_FRAME_FACES, measured.sum() / 2):
        share = f"{far.sum()} of {measured.sum()} faces have their landmarks beside the face"
        detail = f"{share}; {_remedy(facts[far], label_set)}"
        yield Finding("landmark_frame", title, "landmarks", detail)
    yield from _counts(title, facts)


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


def _remedy(facts: np.ndarray, label_set: LabelSet) -> str:
    scale = placement.fitting_scale(facts, label_set)
    fitted = np.median(placement.distances(facts, label_set, scale=scale)) <= placement.LIMIT / 2
    if fitted:
        return f"multiplied by {scale:.3g} they fit"
    return "no scale makes them fit: they may belong to other photos, or to other crops of them"


def _counts(title: str, facts: np.ndarray) -> Iterator[Finding]:
    """Yield a finding if the faces of a data set have different numbers of points, or some have none."""
    numbers, faces = np.unique(facts["points"][facts["readable"]], return_counts=True)
    if len(numbers) > 1:
        counted = zip(numbers.tolist(), faces.tolist(), strict=True)
        told = ", ".join(f"{count} face{'s' * (count > 1)} with {number or 'none'}" for number, count in counted)
        yield Finding("landmark_counts", title, "landmarks", told)


def _swapped_parts(separation: np.ndarray, label_set: LabelSet) -> str:
    pairs = zip(sides.partners(label_set), separation, strict=True)
    wrong = [f"'{left}' lies left of '{right}'" for (left, right), apart in pairs if apart <= -sides.MIN_SEPARATION]
    return " and ".join(wrong)


def _copies(parts: Mapping[str, Part]) -> Iterator[Finding]:
    places = [(title, name) for title, part in parts.items() for name in part.source.names]
    if not places:
        return
    columns = ["digest", "hash", "mirrored_hash", "colours"]
    facts = np.concatenate([part.scan.facts[["readable", *columns]] for part in parts.values()])
    split = np.repeat(np.arange(len(parts)), [len(part.source) for part in parts.values()])
    readable = np.flatnonzero(facts["readable"])
    for copy in duplicates.copies(facts[columns][readable], split[readable]):
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


def _empty_classes(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Yield classes that no face has, over all splits of one label set together; none for data without masks."""
    by_set = sorted(parts.values(), key=lambda part: part.source.label_set.name)
    for name, group in itertools.groupby(by_set, key=lambda part: part.source.label_set.name):
        members = list(group)
        label_set = members[0].source.label_set
        total = sum(member.scan.facts["pixels"].sum(axis=0, dtype=np.int64) for member in members)
        for label in label_set.labels if total.any() else ():
            if total[label.id] == 0:
                yield Finding("empty_class", "", label.name, f"no mask has '{label.name}' of label set '{name}'")
