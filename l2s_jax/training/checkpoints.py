"""Checkpoints: the train state, the data iterator, the config and the loop's own state, written atomically by a thread.

A checkpoint is a folder `STEP/` with the arrays (orbax), `meta.json` with everything else, and `manifest.json` with the
size and CRC-32 of every file. It is written as `.STEP.tmp` and renamed, so a name without a leading dot is a finished
checkpoint; the manifest reveals later damage.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from input_pipeline.errors import UserError
from l2s_jax import bundle
from l2s_jax.training import exchange
from l2s_jax.types import PyTree, TrainState

META, MANIFEST = "meta.json", "manifest.json"
_UNFINISHED = ".orbax-checkpoint-tmp"
"""End of the name of the folder that Orbax writes into."""
_CLOSED = "Event loop is closed"
"""What the event loop says of every further write to a full disk."""
_REMOVALS = 50
"""Attempts, a tenth of a second apart, to remove what is half-written."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to resume as if it had never stopped.

    Attributes:
      state: the train state.
      loader: `get_state()` of the data iterator, the same in every process.
      progress: the loop's own state, JSON.
      config: the resolved config, JSON.
    """

    state: TrainState
    loader: dict[str, Any]
    progress: dict[str, Any]
    config: dict[str, Any] = dataclasses.field(default_factory=dict)


def tree_digest(tree: PyTree) -> str:
    """Return the SHA-256 hex digest of the paths, dtypes, shapes and values of a tree of arrays."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8))
    return digest.hexdigest()


def save(folder: str | os.PathLike, checkpoint: Checkpoint, keep: int) -> Future[Path]:
    """Begin to write `folder/STEP`; a thread finishes it, then removes all but the `keep` newest checkpoints.

    When this returns, the arrays are on the host: the next step may overwrite the state. Checkpoints of later steps are
    removed as well: they belong to an abandoned history. Every process must call it, and wait for the result before it
    calls it again.

    Returns:
      the path, once the checkpoint is finished; the first process finishes it for all.

    Raises:
      UserError: here or from the result: the folder cannot be written or the disk is full; existing checkpoints are
        untouched.
    """
    step = int(checkpoint.state.step)
    target = Path(folder).absolute() / f"{step:08d}"
    temporary = target.with_name(f".{target.name}.tmp")
    meta = {
        "step": step,
        "arrays": _arrays(checkpoint.state),
        "loader": checkpoint.loader,
        "progress": checkpoint.progress,
        "config": checkpoint.config,
        "provenance": bundle.provenance(step),
    }
    _hush()
    with _whole_or_nothing(target, temporary):
        if jax.process_index() == 0:
            for left in target.parent.glob(".[0-9]*"):  # by a run that was killed while it wrote
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            _check_space(temporary, checkpoint.state)
        exchange.barrier(f"checkpoint {step} begins")
        writer = ocp.StandardCheckpointer()
        writer.save(temporary / "state", checkpoint.state)
    thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    finished = thread.submit(_finish, writer, temporary, target, meta, keep)
    thread.shutdown(wait=False)
    return finished


def _finish(writer: ocp.StandardCheckpointer, temporary: Path, target: Path, meta: dict[str, Any], keep: int) -> Path:
    """Wait until the arrays are written, add the other files, rename the folder, remove old ones; return its path."""
    with _whole_or_nothing(target, temporary):
        writer.close()  # once all is written
        if jax.process_index() == 0:
            (temporary / META).write_text(json.dumps(meta))
            manifest = {str(file.relative_to(temporary)): _fingerprint(file) for file in _files(temporary)}
            (temporary / MANIFEST).write_text(json.dumps(manifest))
            _replace(temporary, target)
            _prune(target, keep)
    return target


@contextlib.contextmanager
def _whole_or_nothing(target: Path, temporary: Path) -> Iterator[None]:
    """Remove what is half-written if the block fails, and say in one sentence what the disk refuses."""
    try:
        yield
    except BaseException as error:
        if jax.process_index() == 0:
            _remove(temporary)
        reason = _reason(error)
        if not reason:
            raise
        raise UserError(
            f"cannot write checkpoint {target} ({reason}); free some space or choose another --workdir"
        ) from error


def _remove(folder: Path) -> None:
    """Remove a folder in which other threads may still be writing: after an error Orbax does not wait for them."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)
        if not folder.exists():
            return


def restore(folder: str | os.PathLike, like: TrainState, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest complete checkpoint of a folder, to resume training from it.

    Args:
      folder: the folder passed to `save`.
      like: shapes, dtypes and shardings of the result (`parallel.abstract_state`); devices and processes may differ
        from those that wrote the checkpoint.
      warn: called with one sentence for each damaged checkpoint that is skipped.

    Returns:
      the checkpoint, or None if nothing was ever saved.

    Raises:
      UserError: all are damaged, or the newest complete one belongs to another model.
    """
    target = newest(folder, warn)
    if target is None:
        return None
    meta = json.loads((target / META).read_text())
    return Checkpoint(restore_state(target, like), meta["loader"], meta["progress"])


def newest(folder: str | os.PathLike, warn: Callable[[str], None]) -> Path | None:
    """Return the newest undamaged checkpoint of a folder, or None if nothing was ever saved.

    Raises:
      UserError: all checkpoints are damaged.
    """
    found = checkpoints(folder)
    for target in found:
        damage = _damage(target)
        if not damage:
            return target
        warn(f"checkpoint {target} is damaged ({damage}); trying the one before it")
    if found:
        raise UserError(f"no checkpoint in {folder} is complete; delete the folder to train from the start")
    return None


def restore_state(target: Path, like: TrainState) -> TrainState:
    """Read the arrays of one checkpoint, placed on the shardings of `like`.

    Raises:
      UserError: the checkpoint belongs to another model; names the first array that differs, and the code it is from.
    """
    _check_same_model(target, json.loads((target / META).read_text()), _arrays(like))
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(target / "state", like)


def checkpoints(folder: str | os.PathLike) -> list[Path]:
    """List the finished checkpoints of a folder, newest first."""
    return sorted((path for path in Path(folder).absolute().glob("[0-9]*") if path.is_dir()), reverse=True)


def saved_config(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Return the config in the newest checkpoint whose description can be read; None if there is none."""
    for target in checkpoints(folder):
        with contextlib.suppress(OSError, ValueError):
            return json.loads((target / META).read_text()).get("config")
    return None


def _arrays(state: TrainState) -> dict[str, list]:
    """Return {path: [shape, dtype]} of every array, in the order of the state."""
    leaves, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): [list(x.shape), str(x.dtype)] for path, x in leaves}


def _check_same_model(target: Path, meta: dict[str, Any], wanted: dict[str, list]) -> None:
    found, code = meta["arrays"], meta.get("provenance")
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        if found.get(name) != wanted.get(name):
            there, here = (
                "{1}{0}".format(*arrays[name]) if name in arrays else "missing" for arrays in (found, wanted)
            )
            by = f" (written by l2s_jax {code['versions']['l2s_jax']}, commit {code['commit']})" if code else ""
            raise UserError(
                f"checkpoint {target}{by} belongs to another model: {name} is {there} in the checkpoint and {here} in "
                "this config; use another --workdir or the config and code it was trained with"
            )


def _damage(target: Path) -> str | None:
    """Return a description of what is wrong with a checkpoint, or None."""
    try:
        manifest = json.loads((target / MANIFEST).read_text())
        for name, expected in manifest.items():
            if (target / name).stat().st_size != expected[0]:
                return f"{name} has the wrong size"
            if _fingerprint(target / name) != expected:
                return f"{name} has changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(target)} is missing"
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return f"{MANIFEST} is unreadable"
    return None


def _fingerprint(file: Path) -> list[int]:
    """Return [bytes, CRC-32] of a file, read in blocks of 16 MiB."""
    checksum = 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 24):
            checksum = zlib.crc32(piece, checksum)
    return [file.stat().st_size, checksum]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _replace(temporary: Path, target: Path) -> None:
    """Rename over an existing folder, which `os.rename` alone cannot do."""
    aside = target.with_name(f".{target.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        os.rename(target, aside)
    os.rename(temporary, target)
    shutil.rmtree(aside, ignore_errors=True)


def _prune(newest: Path, keep: int) -> None:
    others = [path for path in checkpoints(newest.parent) if path != newest]
    older = [path for path in others if path.name < newest.name]
    for path in others:
        if path not in older[: keep - 1]:
            shutil.rmtree(path, ignore_errors=True)


def _check_space(folder: Path, state: TrainState) -> None:
    """Raise ENOSPC up front if the state will not fit on the disk."""
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"it needs {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free")


@functools.cache
def _hush() -> None:
    """Silence what Orbax, and its event loop once that is closed, say of a disk that refuses: `save` says it once."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)
    others = sys.unraisablehook
    sys.unraisablehook = lambda report: None if str(report.exc_value) == _CLOSED else others(report)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell orbax's tracebacks of what `save` says in one sentence from all other messages."""
    error = record.exc_info[1] if record.exc_info else None
    # What the other threads run into in the folder is a consequence of the first error.
    return error is None or not (_reason(error) or _UNFINISHED in str(error))


def _reason(error: BaseException) -> str | None:
    """Return the operating system's error text, which tensorstore hides in a ValueError; None for other errors."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = re.search(r"([^:]+) \[os_error_code=", str(error)) if isinstance(error, ValueError) else None
    return found.group(1).strip() if found else None
