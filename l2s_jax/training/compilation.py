"""The persistent compilation cache: a second run of the same experiment starts without compiling."""

import os
from pathlib import Path

import jax

from input_pipeline import files
from input_pipeline.errors import UserError


def enable_compilation_cache() -> Path | None:
    """Keep compiled programs between runs. Call it before the first array is made: later it silently does nothing.

    Returns:
      the folder: `JAX_COMPILATION_CACHE_DIR`, or ~/.cache/l2s_jax/xla; None (and no cache) if it cannot be
      written or the user has no home folder.
    """
    folder = _writable(_place())
    jax.config.update("jax_compilation_cache_dir", None if folder is None else str(folder))
    return folder


def _place() -> Path | None:
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(chosen)
    home = files.home()
    return None if home is None else home / ".cache" / "l2s_jax" / "xla"


def _writable(folder: Path | None) -> Path | None:
    try:
        return None if folder is None else files.writable_folder(folder)
    except UserError:
        return None
