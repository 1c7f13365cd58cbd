"""Plan which face goes into which shard, once, so that a killed run resumes and writes the same files."""

import contextlib
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from input_pipeline import files
from input_pipeline.errors import UserError, require
from input_pipeline.readers.downloads.layout import RawSplit
from input_pipeline.readers.records import schema

FILE = "plan.json"

_SAMPLED_FILES = 500  # number of files whose size is read for an estimate: in a bucket each costs a request
_MAX_SHARDS = 99_999
# A JPEG of quality 95 at full colour resolution; only decides how many shards there are.
_JPEG_BYTES_PER_PIXEL = 0.4
_SPLIT = re.compile(r"\w[\w.-]{0,63}", re.ASCII)
_SHOWN = 3


class Options(NamedTuple):
    """What the user chose: see `prepare`."""

    layout: str
    variant: str | None
    size: int | None
    shard_mb: float


class SplitPlan(NamedTuple):
    """The faces of one split, divided among its shards.

    Attributes:
      shards: names of the faces of each shard, consecutive in the order of the raw split.
      problems: names in the raw split's `problems`, which are in no shard.
    """

    shards: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]


class Plan(NamedTuple):
    """The options and the splits of a folder of records.

    Attributes:
      options: what the user chose.
      splits: by name; "" is data without splits.
    """

    options: Options
    splits: Mapping[str, SplitPlan]


class Shard(NamedTuple):
    """One shard of a plan.

    Attributes:
      split: its name in the raw data.
      stem: its file name without the suffix.
      faces: indices in the raw split.
      digest: hash of everything that decides its content, except the files of the faces.
    """

    split: str
    stem: str
    faces: range
    digest: str


def make(raws: Mapping[str, RawSplit], options: Options) -> Plan:
    """Make a plan for new records; `options.size` and `options.shard_mb` decide the number of shards.

    Raises:
      UserError: a split that cannot be part of a file name, or a missing photo.
    """
    for split in raws:
        if split and not _SPLIT.fullmatch(split):
            raise UserError(f"the split '{split[:64]}' cannot name files: use letters, digits, '_', '-' and '.'")
    return Plan(options, {split: _divide(raw, options) for split, raw in raws.items()})


def _divide(raw: RawSplit, options: Options) -> SplitPlan:
    total = _face_bytes(raw, options.size) * len(raw.names)
    count = min(max(1, math.ceil(total / (options.shard_mb * 1e6))), max(1, len(raw.names)), _MAX_SHARDS)
    bounds = [len(raw.names) * k // count for k in range(count + 1)]
    shards = tuple(tuple(raw.names[a:b]) for a, b in itertools.pairwise(bounds))
    return SplitPlan(shards, tuple(problem.name for problem in raw.problems))


def _face_bytes(raw: RawSplit, size: int | None) -> float:
    """Estimate the mean size of an encoded photo, bytes; masks are small in comparison."""
    step = max(1, len(raw.names) // _SAMPLED_FILES)
    sizes = [_file_bytes(raw, index) for index in range(0, len(raw.names), step)]
    mean = sum(sizes) / max(1, len(sizes))
    return mean if size is None else min(mean, _JPEG_BYTES_PER_PIXEL * size * size)


def _file_bytes(raw: RawSplit, index: int) -> int:
    try:
        return raw.image_path(index).stat().length
    except OSError:  # reading that face will report the error
        return 0


def resume(plan: Plan, raws: Mapping[str, RawSplit], options: Options, broken: Mapping[str, set]) -> Plan:
    """Adapt the plan of an earlier run to the current data.

    Faces that were broken may have been fixed (then they join the shard of the face before them) or removed.

    Args:
      plan: of the earlier run.
      raws, options: of this one.
      broken: names of the faces, by split, that the earlier run could not store.

    Raises:
      UserError: the run differs: its options, its splits, or faces that were never broken.
    """
    begun = {**plan.options._asdict(), "splits": sorted(plan.splits)}
    for key, value in {**options._asdict(), "splits": sorted(raws)}.items():
        if begun[key] != value:
            option = f"--{key.replace('_', '-')}"
            raise UserError(
                f"these records were begun with {option} {_spoken(begun[key])}, not {_spoken(value)}: give the "
                "same options, or another folder --out"
            )
    parts = {split: _resume(split, plan.splits[split], raw, broken[split]) for split, raw in raws.items()}
    return Plan(options, parts)


def _spoken(value: object) -> str:
    """Format an option's value as the user would write it, `none` if it was not given."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _resume(split: str, plan: SplitPlan, raw: RawSplit, broken: set[str]) -> SplitPlan:
    number = {name: k for k, shard in enumerate(plan.shards) for name in shard}
    _refuse(split, sorted(set(raw.names) - number.keys() - set(plan.problems)), "were added")
    _refuse(split, sorted(number.keys() - set(raw.names) - broken), "are gone")
    shards: list[list[str]] = [[] for _ in plan.shards]
    current = 0
    for name in raw.names:
        if number.get(name, current) < current:
            _refuse(split, [name], "stand in another order")
        current = number.get(name, current)
        shards[current].append(name)
    return SplitPlan(tuple(map(tuple, shards)), tuple(problem.name for problem in raw.problems))


def _refuse(split: str, names: list[str], what: str) -> None:
    if names:
        shown = ", ".join(f"'{name}'" for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        where = f" of split '{split}'" if split else ""
        raise UserError(
            f"the source has changed since these records were begun: {len(names)} faces{where} {what} ({shown}); "
            "write the data of today into another folder --out"
        )


def shards(plan: Plan) -> Iterator[Shard]:
    """Yield every shard, split by split."""
    for split, part in plan.splits.items():
        start = 0
        for number, names in enumerate(part.shards):
            stem = f"{prefix(split)}-{number:05d}-of-{len(part.shards):05d}"
            content = json.dumps([plan.options._asdict(), stem, names], sort_keys=True).encode()
            faces = range(start, start + len(names))
            yield Shard(split, stem, faces, hashlib.sha256(content).hexdigest())
            start = faces.stop


def prefix(split: str) -> str:
    """Return the prefix of the file names of a split."""
    return split or "faces"


def write(folder: Path, plan: Plan) -> None:
    """Write FOLDER/plan.json.

    Raises:
      UserError: the write fails.
    """
    files.replace(folder / FILE, json.dumps(schema.to_json(plan)).encode())


def check_path(folder: os.PathLike) -> None:
    """Raise UserError if ArrayRecord could not open files in `folder`: it accepts only UTF-8 paths."""
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the path '{folder}' is not UTF-8: name a folder by letters that are") from error


def check_folder(folder: Path) -> None:
    """Raise UserError if `folder` holds anything but records.

    Hidden files do not count: locks, leftovers of a run that was killed before it wrote its plan, and files that file
    managers create.
    """
    fits = (folder / FILE).is_file() or all(entry.name.startswith(".") for entry in folder.iterdir())
    require(fits, f"the folder '{folder}' is not empty and holds no records: choose another --out")


def read(folder: Path) -> Plan | None:
    """Read the plan in a folder; None if the folder is new.

    Raises:
      UserError: a damaged plan.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    found = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = schema.parse(json.loads(path.read_bytes()), Plan)
    whole = found is not None and all(part.shards for part in found.splits.values())
    require(whole, f"'{path}' is damaged: delete the folder '{folder}' and begin again")
    return found
