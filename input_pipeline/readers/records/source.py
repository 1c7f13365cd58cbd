"""Read records as a source of examples: any number of threads and processes read them at random."""

import bisect
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader
from etils import epath

from input_pipeline import files, licences
from input_pipeline.errors import UserError, require
from input_pipeline.images.decode import Encoded, assemble, check_ids, read_mask
from input_pipeline.readers.records import bucket, manifest, message, plan
from input_pipeline.readers.records.manifest import Manifest, ShardFile, StoredFile
from input_pipeline.specs import check_split
from input_pipeline.types import Example, OpenOptions, Problem

# Without read-ahead and without threads of its own a reader costs 25 us a record and survives a fork.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_READER_BUFFER_BYTES = 1 << 15
_AGAIN = "copy or prepare the records again"


def splits(where: str | os.PathLike) -> tuple[str, ...]:
    """Return the names of the splits of the records in a folder or bucket; () for data without splits.

    Raises:
      UserError: no records there, or they are not finished.
    """
    return _divided(_read_manifest(epath.Path(where).expanduser())[0])


class RecordsSource:
    """The faces of one split of records.

    It holds only paths and counts and opens shards when needed, so copies for worker processes are small.

    Attributes:
      manifest: of the records.
      label_set: of the masks.
      licence: of the manifest, see `input_pipeline.licences`.
      names: of the faces; their file is read at the first access.

    Args:
      where: folder of the records, local or in a bucket; from a bucket the split is copied once (see `bucket`).
      split: its name; "" for data without splits.
      require_masks: True refuses splits in which a face has no mask.

    Raises:
      UserError: no such records or split, masks that are required but missing, or a file that is missing or differs in
        size from the manifest. Reading an example raises it for damaged records.
    """

    def __init__(self, where: str | os.PathLike, split: str = "", *, require_masks: bool = True):
        directory = epath.Path(where).expanduser()
        self.manifest, content = _read_manifest(directory)
        check_split("records", os.fspath(directory), split, _divided(self.manifest))
        self._split = self.manifest.splits[split]
        if require_masks and self._split.labelled < self._split.examples:
            unlabelled = self._split.examples - self._split.labelled
            raise UserError(f"{unlabelled} faces of split '{split}' in '{where}' have no mask: choose data with masks")
        self._folder = Path(os.fspath(directory))
        if bucket.is_remote(os.fspath(directory)):
            self._folder = bucket.local_copy(directory, content, self._split.files, bucket.cache_folder(os.environ))
        _check_sizes(self._folder, self._split.files)
        self.label_set, self.licence = self.manifest.label_set, licences.tidy(self.manifest.licence)
        self.names: Sequence[str] = _Names(self._folder / self._split.names.file, self._split.examples)
        self._ends = tuple(itertools.accumulate(shard.examples for shard in self._split.shards))
        self._readers: dict[int, ArrayRecordReader] = {}

    def __len__(self) -> int:
        return self._split.examples

    def __getitem__(self, index: int) -> Example:
        return self.read_reduced(index)

    def read_reduced(self, index: int, at_least: int | None = None) -> Example:
        """See `types.read_reduced`; the mask keeps its size, the landmarks follow the image."""
        record, where = self.read_record(index), self._where(index)
        vectors = dict(record.vectors)
        picture = Encoded(f"{record.name} in {where}", record.photo)
        example = assemble(picture, self._mask(record, where), vectors.pop("landmarks", None), at_least=at_least)
        return {**example, **vectors}

    def read_mask(self, index: int) -> np.ndarray | None:
        """See `types.read_mask`."""
        return self._mask(self.read_record(index), self._where(index))

    def presence(self) -> np.ndarray:
        """Return which classes each face shows, bool [N, K]; all False for a face without a mask.

        Raises:
          UserError: the file is missing.
        """
        packed = np.frombuffer(_read(self._folder / self._split.presence.file), np.uint8)
        rows = packed.reshape(len(self), -(-len(self.label_set) // 8))
        return np.unpackbits(rows, axis=1, count=len(self.label_set)).astype(bool)

    def read_record(self, index: int) -> message.Record:
        """Return the face as stored, still encoded.

        Raises:
          UserError: the shard is damaged.
        """
        shard, position = self._find(index)
        try:
            content = self._reader(shard).read([position])[0]
        except RuntimeError as error:
            raise UserError(f"{self._where(index)} is damaged ({error}): {_AGAIN}") from error
        return message.decode(content, self._where(index))

    def verify(self) -> tuple[Problem, ...]:
        """Read every file of the split and return those whose checksum differs from the manifest's."""
        return tuple(
            Problem(stored.file, str(self._folder / stored.file), f"has another checksum than before: {_AGAIN}")
            for stored in self._split.files
            if _checksum(self._folder / stored.file) != stored.sha256
        )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_readers": {}}

    def _mask(self, record: message.Record, where: str) -> np.ndarray | None:
        if record.mask is None:
            return None
        name = f"mask of {record.name} in {where}"
        mask = read_mask(Encoded(name, record.mask))
        check_ids(mask, self.label_set, name)
        return mask

    def _find(self, index: int) -> tuple[int, int]:
        """Return (shard, position in it) of an example."""
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        shard = bisect.bisect_right(self._ends, index)
        return shard, index - (self._ends[shard] - self._split.shards[shard].examples)

    def _where(self, index: int) -> str:
        shard, position = self._find(index)
        return f"record {position} of '{self._folder / self._split.shards[shard].file}'"

    def _reader(self, shard: int) -> ArrayRecordReader:
        """Return the reader of a shard; threads that meet at a new shard may open it twice, which is harmless."""
        reader = self._readers.get(shard)
        if reader is None:
            reader = self._readers.setdefault(shard, _open(self._folder, self._split.shards[shard]))
        return reader


class _Names(Sequence[str]):
    """The names in a file with one name a line, read at the first access; pickled copies leave them out."""

    def __init__(self, path: Path, count: int):
        self._path, self._count = path, count
        self._names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        return self._all()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_names": None}

    def _all(self) -> tuple[str, ...]:
        if self._names is None:
            # Not splitlines: names may hold characters that it takes for line ends.
            names = tuple(_read(self._path).decode(errors="replace").split("\n")[:-1])
            require(len(names) == self._count, f"'{self._path}' does not hold {self._count} names: {_AGAIN}")
            self._names = names
        return self._names


def _read_manifest(directory: epath.Path) -> tuple[Manifest, bytes]:
    """Return the manifest and its bytes."""
    plan.check_path(directory)
    path = directory / manifest.FILE
    with files.reading(path, "check the address and its rights"):
        finished, begun = path.is_file(), (directory / plan.FILE).exists()
    if finished:
        content = files.read_limited(path, manifest.MAX_BYTES, "manifest", remedy=_AGAIN)
        return manifest.from_json(content, os.fspath(path)), content
    fault = f"there are no records in '{directory}': check the path, or make them with `l2s data prepare`"
    if begun:
        fault = f"the records in '{directory}' are not finished: run their `l2s data prepare` again"
    raise UserError(fault)


def _divided(found: Manifest) -> tuple[str, ...]:
    """Return the names of the splits, () for data without splits."""
    return () if tuple(found.splits) == ("",) else tuple(found.splits)


def _check_sizes(folder: Path, wanted: Sequence[StoredFile | ShardFile]) -> None:
    """Raise UserError for a file that is missing or has another size."""
    for stored in wanted:
        path = folder / stored.file
        fault = None if path.is_file() else "is missing"
        if fault is None and path.stat().st_size != stored.bytes:
            fault = f"has {path.stat().st_size} bytes, but its manifest says {stored.bytes}"
        require(fault is None, f"'{path}' {fault}: {_AGAIN}")


def _read(path: Path) -> bytes:
    with files.reading(path, _AGAIN):
        return path.read_bytes()


def _checksum(path: Path) -> str:
    with files.reading(path, _AGAIN):
        return files.sha256(path)


def _open(folder: Path, shard: ShardFile) -> ArrayRecordReader:
    path = folder / shard.file
    _check_sizes(folder, [shard])  # ArrayRecord treats a missing file as empty
    reader = ArrayRecordReader(os.fspath(path), _READER_OPTIONS, file_reader_buffer_size=_READER_BUFFER_BYTES)
    if reader.num_records() != shard.examples:
        raise UserError(f"'{path}' holds {reader.num_records()} records, its manifest says {shard.examples}: {_AGAIN}")
    return reader


def open_split(where: str, split: str, options: OpenOptions) -> RecordsSource:
    """Open `records:WHERE?split`.

    Raises:
      UserError: as `RecordsSource`.
    """
    return RecordsSource(where, split, require_masks=options.require_masks)
