"""The persistent compilation cache: a second run of the same command starts without compiling."""

import contextlib
import os
from pathlib import Path

import filelock
import jax

from input_pipeline import files
from input_pipeline.errors import UserError

LARGEST = 2 * 2**30
"""Most bytes of the folder; the programs that were not used for the longest time make room for new ones."""

SHORTEST = 0.1
"""Programs that compile in fewer seconds are not worth a file."""


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs. Every command calls it before its first array; `import l2s_jax` never does.

    They go to the user's cache folder, or nowhere if that cannot be written. Programs that cannot be read are compiled
    again. JAX's own variables have precedence: JAX_ENABLE_COMPILATION_CACHE=false is the off switch, and a folder that
    JAX_COMPILATION_CACHE_DIR names is used as it is, without our limit of its size.
    """
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    cache = files.user_cache()
    if cache is None or not jax.config.jax_enable_compilation_cache or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(UserError):
        folder = files.writable_folder(cache / "xla")
        _remove_unfinished(folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        if "JAX_COMPILATION_CACHE_MAX_SIZE" not in os.environ:
            jax.config.update("jax_compilation_cache_max_size", LARGEST)


def _remove_unfinished(folder: Path) -> None:
    """Remove the programs without a time of use: their process ended as it wrote, and JAX would write no others."""
    with contextlib.suppress(OSError, filelock.Timeout), filelock.FileLock(folder / ".lockfile", timeout=1):
        for program in folder.glob("*-cache"):
            if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
                program.unlink()
