"""The persistent compilation cache: a second run of the same experiment starts at once."""

import os
import tempfile
from pathlib import Path

import jax


def enable_compilation_cache() -> Path | None:
    """Keeps compiled programs between runs; call it before the first array, later it would silently do nothing.

    Returns:
      the folder: `JAX_COMPILATION_CACHE_DIR`, or ~/.cache/l2s_jax/xla; None (and no cache) where it cannot be written.
    """
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(os.path.expanduser("~")) / ".cache" / "l2s_jax" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        jax.config.update("jax_compilation_cache_dir", None)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder
