"""List a folder's photos, and the files that look like photos but cannot be read."""

import os
from pathlib import Path
from typing import NamedTuple

from input_pipeline.images import heic
from input_pipeline.readers.listing import entries, stray
from input_pipeline.types import Problem

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", *heic.SUFFIXES, ".bmp", ".gif", ".tif", ".tiff")
"""Suffixes of photos in a folder, in lower case."""

_OTHER = (".arw", ".cr2", ".cr3", ".dng", ".jp2", ".jxl", ".nef", ".orf", ".psd", ".raf", ".raw", ".rw2")


class Photos(NamedTuple):
    """The photos of a folder.

    Attributes:
      paths: in name order.
      passed_over: files that look like photos, why they cannot be read, and the way out; in name order.
    """

    paths: list[Path]
    passed_over: list[Problem]


def list_photos(folder: Path) -> Photos:
    """List the photos of a local folder. Hidden files (also macOS' `._NAME`), folders and other files are left out.

    Raises:
      UserError: no such folder, or no permission to read it.
    """
    paths, passed_over = [], []
    for name in entries(folder):
        path = folder / name
        suffix = path.suffix.lower()
        if suffix not in (*SUFFIXES, *_OTHER) or path.is_dir():
            continue
        reason = _obstacle(path) or obstacle_of(suffix)
        if reason is None:
            paths.append(path)
        else:
            passed_over.append(stray(folder, name, reason))
    return Photos(paths, passed_over)


def obstacle_of(suffix: str) -> str | None:
    """Return why files with a suffix (in lower case) cannot be read here, as the end of the sentence "PATH ...", or
    None if they can."""
    if suffix in heic.SUFFIXES and not heic.is_readable():
        return f"is an HEIC photo: {heic.WAY_OUT}"
    if suffix in _OTHER:
        return f"is in a format that is not read ({suffix}): save it as JPEG or PNG"
    return None


def _obstacle(path: Path) -> str | None:
    try:
        if path.is_symlink() and not path.exists():
            return f"is a link to {os.readlink(path)!a}, which does not exist: correct or remove it"
        if not path.is_file():
            return "is no regular file: remove it"
    except OSError as error:
        return f"cannot be read ({error.strerror}): check its rights"
    return None if os.access(path, os.R_OK) else "may not be read: check its rights"
