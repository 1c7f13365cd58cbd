"""A lock file: one process at a time works in a folder."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from input_pipeline.errors import UserError
from input_pipeline.files import writable_folder

UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
"""The errors of network disks without locks."""


@contextlib.contextmanager
def hold(folder: Path, *, wait: bool = False, unlocked: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold FOLDER/.lock while the block runs.

    The kernel releases the lock when the process ends, however it ends: no lock is ever stale.

    Args:
      folder: created if missing.
      wait: wait for the process that holds the lock, instead of failing.
      unlocked: called with a sentence if the file system cannot lock; the block then runs without a lock. None raises.

    Raises:
      UserError: another process holds the lock (the sentence says which), or the folder cannot be written or locked.
    """
    path = writable_folder(folder) / ".lock"
    # Without its fallback to a file that merely exists: that one would outlive a process that is killed.
    lock = filelock.FileLock(path, timeout=-1 if wait else 0, mode=0o666, fallback_to_soft=False)
    try:
        lock.acquire()
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")
    except filelock.Timeout as error:
        raise UserError(f"{_holder(path)} works in '{folder}': wait until it is done, or stop it") from error
    except OSError as error:
        lock.release()  # if it was the holder's name that could not be written
        fact = f"the folder '{folder}' cannot be locked ({error.strerror or error})"
        if unlocked is None or error.errno not in UNSUPPORTED:
            raise UserError(f"{fact}: choose a local disk") from error
        unlocked(f"{fact}: let nothing else work there")
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")[:200] or "another process"
    except OSError:  # Windows lets nobody else read a locked file
        return "another process"
