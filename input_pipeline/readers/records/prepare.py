"""Conversion of a raw download to records: planned once, written in parallel, resumed after any interruption."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from etils import epath

from input_pipeline import files, licences, lock, processes
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.layout import RawSplit, licence_of
from input_pipeline.readers.records import broken, manifest, plan, shards, summary, workers
from input_pipeline.readers.records.broken import Broken
from input_pipeline.readers.records.manifest import Manifest
from input_pipeline.readers.records.plan import Plan, Shard
from input_pipeline.readers.records.shards import Contents
from input_pipeline.readers.splits import check_split
from input_pipeline.types import Problem


class Data(NamedTuple):
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


class Prepared(NamedTuple):
    """The result of `prepare`.

    Attributes:
      manifest: of the records; None if broken faces prevent one.
      broken: the faces that are in no shard.
    """

    manifest: Manifest | None
    broken: Broken


def open_data(source: str, layout: str, splits: Sequence[str] | None = None) -> Data:
    """Open the raw data at `source`.

    Args:
      source: root folder, local or in a bucket.
      layout: `NAME` or `NAME/VARIANT`.
      splits: names of the splits to open; None opens all.

    Raises:
      UserError: no such folder, layout or split, or a folder of another layout.
    """
    form, variant = downloads.get(layout)
    root = epath.Path(source).expanduser()
    with _reachable(source):
        if not root.is_dir():
            raise UserError(f"the folder '{source}' does not exist: check the path")
    found = form.splits(root)
    for split in splits or ():
        check_split(layout, source, split, found)
    chosen = [split for split in found or ("",) if splits is None or split in splits]
    raws = {split: form.open(root, split, variant) for split in chosen}
    licence = licences.strictest(licence_of(form, raw) for raw in raws.values())
    return Data(raws, form.name, variant, form.title, licence)


@contextlib.contextmanager
def _reachable(source: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(f"'{source}' cannot be reached ({error}): install the package that reads such paths") from error


def prepare(
    data: Data,
    out: Path,
    *,
    size: int | None = None,
    shard_mb: int = 256,
    jobs: int | None = None,
    skip_broken: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Prepared:
    """Write records; called again with the same arguments, continue where it stopped, and retry broken faces.

    The same data give the same bytes, whatever `jobs` is and wherever it was interrupted. Modules: `plan` decides,
    `workers` run `shards.write`, `summary` counts.

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
    options = {"layout": data.layout, "variant": data.variant, "size": size, "shard_mb": shard_mb}
    folder = files.writable_folder(out)
    plan.check_folder(folder)
    with lock.hold(folder):
        agreed = _agree(folder, data.raws, options)
        for leftover in folder.glob(".*.part"):  # of a run that was killed
            leftover.unlink(missing_ok=True)
        tasks = _unfinished(folder, agreed, data.raws, progress)
        if tasks:
            (folder / manifest.FILE).unlink(missing_ok=True)
        work = workers.Work(folder, data.raws, size)
        workers.write_all(work, tasks.shards, jobs or processes.cores(), tasks.report)
        listed = broken.write(folder, _problems(folder, agreed, data.raws))
        if listed.count and not skip_broken:
            (folder / manifest.FILE).unlink(missing_ok=True)
            return Prepared(None, listed)
        return Prepared(_finish(folder, agreed, data, label_set, size), listed)


def _only_label_set(data: Data) -> LabelSet:
    first, *others = data.raws.values()
    if any(other.label_set != first.label_set for other in others):
        raise UserError("the splits have different label sets: prepare each alone with --splits, into its own folder")
    return first.label_set


def _agree(folder: Path, raws: Mapping[str, RawSplit], options: Mapping[str, object]) -> Plan:
    """Return the folder's plan, made or updated, and written."""
    begun = plan.read(folder)
    if begun is None:
        agreed = plan.make(raws, options)
    else:
        known: dict[str, set[str]] = {split: set() for split in (*begun.splits, *raws)}
        for shard in plan.shards(begun):
            if found := shards.contents(folder, shard):
                known[shard.split].update(problem.name for problem in found.broken)
        agreed = plan.mend(begun, raws, options, known)
    if agreed != begun:
        plan.write(folder, agreed)
    return agreed


class _Tasks:
    """The shards to write, and the counter behind the progress bar."""

    def __init__(self, unfinished: Sequence[Shard], start: Progress, progress: Callable[[Progress], None]):
        self.shards, self._now, self._progress = tuple(unfinished), start, progress
        progress(start)

    def __bool__(self) -> bool:
        return bool(self.shards)

    def report(self, tick: workers.Tick) -> None:
        done, total, count = self._now
        self._now = Progress(done + tick.faces, total, count + tick.broken)
        self._progress(self._now)


def _unfinished(
    folder: Path, agreed: Plan, raws: Mapping[str, RawSplit], progress: Callable[[Progress], None]
) -> _Tasks:
    """Return the shards to write or check again: unfinished ones, and those with broken faces, perhaps fixed."""
    unfinished, done, total = [], 0, 0
    for shard in plan.shards(agreed):
        total += len(shard.faces)
        found = shards.contents(folder, shard)
        if found is None or found.broken:
            unfinished.append(shard)
        else:
            done += len(shard.faces)
    problems = sum(len(raw.problems) for raw in raws.values())
    return _Tasks(unfinished, Progress(done, total, problems), progress)


def _problems(folder: Path, agreed: Plan, raws: Mapping[str, RawSplit]) -> Iterator[tuple[str, Problem]]:
    for split, raw in raws.items():
        yield from ((split, problem) for problem in raw.problems)
    for shard in plan.shards(agreed):
        yield from ((shard.split, problem) for problem in _done(folder, shard).broken)


def _finish(folder: Path, agreed: Plan, data: Data, label_set: LabelSet, size: int | None) -> Manifest:
    splits = {}
    for split, raw in data.raws.items():
        contents = (_done(folder, shard) for shard in plan.shards(agreed) if shard.split == split)
        splits[split] = summary.write(folder, split, contents, label_set, len(raw.problems))
        if not splits[split].examples:
            where = f" of split '{split}'" if split else ""
            raise UserError(f"no face{where} can be stored, see '{folder / broken.FILE}': mend them first")
    made = Manifest(data.layout, data.variant, data.title, data.licence, size, label_set, splits)
    files.replace_json(folder / manifest.FILE, manifest.to_json(made))
    return made


def _done(folder: Path, shard: Shard) -> Contents:
    found = shards.contents(folder, shard)
    if found is None:
        raise UserError(f"shard '{folder / shard.stem}' changed while records were written: run the same again")
    return found
