"""Convert a raw download to records: planned once, written in parallel, resumed after any interruption."""

import collections
import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from input_pipeline import files, licences, lock, processes
from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.layout import RawSplit, licence_of
from input_pipeline.readers.records import manifest, plan, shards
from input_pipeline.readers.records.manifest import Manifest, ShardFile, Split, StoredFile
from input_pipeline.readers.records.plan import Options, Plan, Shard
from input_pipeline.readers.records.shards import ShardIndex
from input_pipeline.specs import check_split
from input_pipeline.types import Problem

BROKEN_FILE = "broken.jsonl"
SHOWN = 10
_STORED, _BROKEN = b"0", b"1"  # messages of a worker process, one for each face
_MOST_REASONS = 1000  # distinct reasons that are counted separately; any more are counted together


class RawDataset(NamedTuple):
    """The raw data to make records from.

    Attributes:
      raws: the splits by name; "" is data without splits.
      layout, variant, title: see `downloads.layout.Layout`.
      licence: the strictest of the splits.
    """

    raws: Mapping[str, RawSplit]
    layout: str
    variant: str | None
    title: str
    licence: str


class Progress(NamedTuple):
    """Progress of `prepare`.

    Attributes:
      done: faces that are in shards or known to be broken, including those of earlier runs.
      total: number of faces.
      broken: faces that cannot be stored.
    """

    done: int
    total: int
    broken: int


class Broken(NamedTuple):
    """A summary of `broken.jsonl`.

    Attributes:
      count: number of faces.
      first: (split, problem) of at most `SHOWN` of them.
      reasons: reason without names and numbers -> number of faces, the most frequent first.
    """

    count: int
    first: tuple[tuple[str, Problem], ...]
    reasons: Mapping[str, int]


class PrepareResult(NamedTuple):
    """The result of `prepare`.

    Attributes:
      manifest: of the records; None if broken faces prevent one.
      broken: the faces that are in no shard.
    """

    manifest: Manifest | None
    broken: Broken


def open_data(source: str, layout: str, splits: Sequence[str] | None = None) -> RawDataset:
    """Open the raw data at `source`.

    Args:
      source: root folder, local or in a bucket.
      layout: `NAME` or `NAME/VARIANT`.
      splits: names of the splits to open; None opens all.

    Raises:
      UserError: no such folder, layout or split, or a folder of another layout.
    """
    form, variant = downloads.get(layout)
    root = files.existing_folder(source)
    found = form.splits(root)
    for split in splits or ():
        check_split(layout, source, split, found)
    chosen = [split for split in found or ("",) if splits is None or split in splits]
    raws = {split: form.open(root, split, variant) for split in chosen}
    licence = licences.strictest(licence_of(form, raw) for raw in raws.values())
    return RawDataset(raws, form.name, variant, form.title, licence)


def prepare(
    data: RawDataset,
    out: Path,
    *,
    size: int | None = None,
    shard_mb: int = 256,
    jobs: int | None = None,
    skip_broken: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> PrepareResult:
    """Write records; called again with the same arguments, continue where it stopped, and retry broken faces.

    The same data give the same bytes, whatever `jobs` is and wherever it was interrupted: `plan` decides which face
    goes into which shard.

    Args:
      data: what to write.
      out: folder of the records, new or begun by an earlier call.
      size: shrink photos to this many pixels on the longer side; None keeps them unchanged.
      shard_mb: approximate size of a shard, million bytes.
      jobs: processes; None is one for each CPU core this process may use.
      skip_broken: write a manifest even if some faces cannot be stored.
      progress: called from time to time.

    Raises:
      UserError: `out` holds something else or other records, another process works there, or a write fails. Finished
        shards stay.
    """
    plan.check_path(out)
    label_set = _only_label_set(data)
    options = Options(data.layout, data.variant, size, shard_mb)
    folder = files.writable_folder(out)
    plan.check_folder(folder)
    with lock.hold(folder):
        agreed = _agree(folder, data.raws, options)
        _remove_leftovers(folder)
        try:
            _write_shards(folder, agreed, data.raws, options, jobs or processes.cores(), progress)
        finally:
            _remove_leftovers(folder)
        listed = _list_broken(folder / BROKEN_FILE, _problems(folder, agreed, data.raws))
        if listed.count and not skip_broken:
            (folder / manifest.FILE).unlink(missing_ok=True)
            return PrepareResult(None, listed)
        return PrepareResult(_finish(folder, agreed, data, label_set), listed)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a run, or a worker process of this one, was writing when it was killed."""
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)


def _only_label_set(data: RawDataset) -> LabelSet:
    first, *others = data.raws.values()
    if any(other.label_set != first.label_set for other in others):
        raise UserError("the splits have different label sets: prepare each alone with --splits, into its own folder")
    return first.label_set


def _agree(folder: Path, raws: Mapping[str, RawSplit], options: Options) -> Plan:
    """Return the folder's plan, made or updated, and written."""
    begun = plan.read(folder)
    if begun is None:
        agreed = plan.make(raws, options)
    else:
        known: dict[str, set[str]] = {split: set() for split in (*begun.splits, *raws)}
        for shard in plan.shards(begun):
            if found := shards.read_index(folder, shard):
                known[shard.split].update(problem.name for problem in found.broken)
        agreed = plan.resume(begun, raws, options, known)
    if agreed != begun:
        plan.write(folder, agreed)
    return agreed


class _WorkerArgs(NamedTuple):
    """What all worker processes share; `count` is called after each face, see `shards.write`."""

    folder: Path
    raws: Mapping[str, RawSplit]
    size: int | None
    count: Callable[[bool], None]


def _write_shards(
    folder: Path,
    agreed: Plan,
    raws: Mapping[str, RawSplit],
    options: Options,
    jobs: int,
    progress: Callable[[Progress], None],
) -> None:
    """Write the unfinished shards, and check again those with broken faces, which may have been fixed."""
    tasks = [shard for shard in plan.shards(agreed) if _is_unfinished(folder, shard)]
    total = sum(len(shard.faces) for shard in plan.shards(agreed))
    done = total - sum(len(shard.faces) for shard in tasks)
    problems = sum(len(raw.problems) for raw in raws.values())
    faces = broken = 0

    def count(is_broken: bool) -> None:
        nonlocal faces, broken
        faces, broken = faces + 1, broken + is_broken
        progress(Progress(done + faces, total, problems + broken))

    progress(Progress(done, total, problems))
    if tasks:
        (folder / manifest.FILE).unlink(missing_ok=True)
    if min(jobs, len(tasks)) <= 1:
        for task in tasks:
            _write_shard(_WorkerArgs(folder, raws, options.size, count), task)
        return
    counted, counter = processes.SPAWN.Pipe(duplex=False)

    def report() -> None:
        while counted.poll():
            count(counted.recv_bytes() == _BROKEN)

    args = _WorkerArgs(folder, raws, options.size, functools.partial(_send, counter))
    results = processes.run(_write_shard, args, tasks, min(jobs, len(tasks)), report)
    with counted, counter, contextlib.closing(results):
        for _ in results:
            report()


def _is_unfinished(folder: Path, shard: Shard) -> bool:
    index = shards.read_index(folder, shard)
    return index is None or bool(index.broken)


def _send(counter: Connection, is_broken: bool) -> None:
    counter.send_bytes(_BROKEN if is_broken else _STORED)  # so short that the system never mixes those of two processes


def _write_shard(args: _WorkerArgs, task: Shard) -> None:
    shards.write(args.folder, task, args.raws[task.split], args.size, args.count)


def _problems(folder: Path, agreed: Plan, raws: Mapping[str, RawSplit]) -> Iterator[tuple[str, Problem]]:
    for split, raw in raws.items():
        yield from ((split, problem) for problem in raw.problems)
    for shard in plan.shards(agreed):
        yield from ((shard.split, problem) for problem in shards.read_index(folder, shard).broken)


def _finish(folder: Path, agreed: Plan, data: RawDataset, label_set: LabelSet) -> Manifest:
    splits = {}
    for split, raw in data.raws.items():
        indexes = (shards.read_index(folder, shard) for shard in plan.shards(agreed) if shard.split == split)
        splits[split] = _summarise(folder, split, indexes, label_set, len(raw.problems))
        if not splits[split].examples:
            where = f" of split '{split}'" if split else ""
            raise UserError(
                f"no face{where} can be stored: fix the files listed in '{folder / BROKEN_FILE}' and run again"
            )
    made = Manifest(data.layout, data.variant, data.title, data.licence, agreed.options.size, label_set, splits)
    files.replace_json(folder / manifest.FILE, manifest.to_json(made))
    return made


def _summarise(folder: Path, split: str, indexes: Iterable[ShardIndex], label_set: LabelSet, problems: int) -> Split:
    """Write FOLDER/SPLIT.names and FOLDER/SPLIT.presence, and return the split's entry in the manifest.

    Args:
      folder: of the records.
      split: its name.
      indexes: of its shards in order, iterated once.
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
            for found in indexes:
                name_file.writelines(f"{name}\n".encode() for name in found.names)
                presence_file.write(np.packbits(found.presence, axis=1).tobytes())
                shards.append(ShardFile(found.file, found.bytes, found.sha256, len(found.names)))
                sizes.append(found.sizes)
                pixels += found.pixels
                images += found.presence.sum(axis=0)
                labelled += found.labelled
                broken += len(found.broken)
    heights, widths = map(manifest.spread, np.concatenate(sizes).T)
    return Split(
        examples=sum(shard.examples for shard in shards),
        labelled=labelled,
        broken=broken,
        shards=tuple(shards),
        names=_describe(names),
        presence=_describe(presence),
        class_pixels=dict(zip(label_set.names, pixels.tolist(), strict=False)),  # as many as there are classes
        class_images=dict(zip(label_set.names, images.tolist(), strict=True)),
        ignored_pixels=int(pixels[IGNORE]),
        heights=heights,
        widths=widths,
    )


def _describe(path: Path) -> StoredFile:
    return StoredFile(path.name, path.stat().st_size, files.sha256(path))


def _list_broken(path: Path, problems: Iterable[tuple[str, Problem]]) -> Broken:
    """Write the list of broken faces, or remove it if there are none; `problems` are (split, problem), iterated once.

    Raises:
      UserError: the write fails.
    """
    first, reasons, count = [], collections.Counter(), 0
    with files.replacing(path) as part, part.open("w", encoding="ascii") as file:
        for split, problem in problems:
            file.write(json.dumps({"split": split, **problem._asdict()}) + "\n")
            count += 1
            if count <= SHOWN:
                first.append((split, problem))
            kind = normalise_reason(problem.reason)
            reasons[kind if kind in reasons or len(reasons) < _MOST_REASONS else "other reasons"] += 1
    if not count:
        path.unlink()
    return Broken(count, tuple(first), dict(reasons.most_common()))


def normalise_reason(reason: str) -> str:
    """Normalise a reason: quoted names become '...', numbers become N."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'|b?\"[^\"]*\"", "'...'", reason))[:200]
