"""A lock file: one process at a time works in a folder."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from input_pipeline.errors import UserError

UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
"""The errors that `flock` gives on network disks without locks."""


@contextlib.contextmanager
def hold(folder: Path, *, wait: bool = False, unlocked: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold FOLDER/.lock while the block runs.

    The kernel releases the lock when the process ends, however it ends: no lock is ever stale.

    Args:
      folder: an existing folder.
      wait: wait for the process that holds the lock, instead of failing.
      unlocked: called with a sentence if the file system cannot lock; the block then runs without a lock. None raises.

    Raises:
      UserError: another process holds the lock (the sentence says which), or the file system cannot lock.
    """
    try:
        file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write into the folder '{folder}': {error.strerror}; choose another") from error
    try:
        _lock(file, folder, wait, unlocked)
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(file)


def _lock(file: int, folder: Path, wait: bool, unlocked: Callable[[str], None] | None) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        holder = os.pread(file, 200, 0).decode(errors="replace") or "another process"
        raise UserError(f"{holder} works in '{folder}': wait until it is done, or stop it") from error
    except OSError as error:
        fact = f"the folder '{folder}' cannot be locked ({error.strerror})"
        if unlocked is None or error.errno not in UNSUPPORTED:
            raise UserError(f"{fact}: choose a local disk") from error
        unlocked(f"{fact}: let nothing else work there")
