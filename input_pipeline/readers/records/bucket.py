"""Copy records of a bucket once to a local disk.

ArrayRecord can read gs:// addresses itself, but opens a new connection for every record and requests the rest of the
shard each time (array_record 0.8.6): fine for one sequential pass, useless for shuffled epochs.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from etils import epath

from input_pipeline import files, lock
from input_pipeline.errors import UserError, require
from input_pipeline.readers.records.manifest import StoredFile

_CHUNK_BYTES = 1 << 22


def is_remote(where: str) -> bool:
    """Return whether `where` is an address like gs://bucket/folder."""
    return "://" in where


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of all local copies: $L2S_CACHE, else the user's cache folder.

    Raises:
      UserError: neither is defined.
    """
    if chosen := environment.get("L2S_CACHE"):
        return Path(os.path.expanduser(chosen)) / "records"
    folder = files.user_cache()
    require(folder is not None, "records of a bucket are copied to a local disk: set L2S_CACHE to a folder for them")
    return folder / "records"


def local_copy(directory: epath.Path, manifest: bytes, wanted: Sequence[StoredFile], cache: Path) -> Path:
    """Return the local folder of files in `directory`; missing ones are copied, each once for all processes.

    Args:
      directory: of the records.
      manifest: content of its manifest, whose hash names the copy's folder: different records never mix.
      wanted: the needed files of the manifest.
      cache: folder of all copies.

    Raises:
      UserError: too little room, a file that is missing or differs from the manifest, or a write that fails.
    """
    folder = files.writable_folder(cache / hashlib.sha256(manifest).hexdigest()[:32])
    if not _missing(folder, wanted):
        return folder
    with lock.hold(folder, wait=True):
        missing = _missing(folder, wanted)
        needed, free = sum(stored.bytes for stored in missing), shutil.disk_usage(folder).free
        require(
            needed <= free,
            f"copying '{directory}' takes {needed / 1e9:.1f} GB, but '{cache}' has {free / 1e9:.1f} GB free: make "
            "room, or set L2S_CACHE to a folder on a larger disk",
        )
        for leftover in folder.glob(".*.part"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        for stored in missing:
            _copy(directory / stored.file, folder / stored.file, stored)
    return folder


def _missing(folder: Path, wanted: Sequence[StoredFile]) -> list[StoredFile]:
    """Return the files not yet copied, judged by size: a file gets its name only after its checksum matched."""
    return [stored for stored in wanted if not _has_size(folder / stored.file, stored.bytes)]


def _has_size(path: Path, length: int) -> bool:
    return path.is_file() and path.stat().st_size == length


def _copy(source: epath.Path, target: Path, stored: StoredFile) -> None:
    digest, length = hashlib.sha256(), 0
    with files.replacing(target) as part:
        with files.reading(source, "prepare the records again"):
            remote = source.open("rb")
        with remote, part.open("wb") as local:
            while length <= stored.bytes and (chunk := remote.read(_CHUNK_BYTES)):
                digest.update(chunk)
                length += len(chunk)
                local.write(chunk)
            os.fsync(local.fileno())
        if (length, digest.hexdigest()) != (stored.bytes, stored.sha256):
            raise UserError(f"'{source}' is not the file that its manifest describes: prepare the records again")
