"""Provenance of a model: the facts needed to reproduce it."""

import datetime
import functools
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import l2s_jax


def provenance(steps: int, argv: list[str] | None = None) -> dict:
    """Return a JSON dict: command, commit (null outside a checkout), steps, date (UTC), versions, hardware.

    Args:
      steps: batches the exported variables were trained on.
      argv: the command line after `l2s`; default: this process's.
    """
    arguments = sys.argv[1:] if argv is None else argv
    return {
        "command": shlex.join(["l2s", *arguments]),
        "commit": _commit(),
        "steps": int(steps),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "l2s_jax": l2s_jax.__version__,
            **{package: importlib.metadata.version(package) for package in ("jax", "flax", "numpy")},
        },
        "hardware": hardware(),
    }


def hardware() -> str:
    """Describe the accelerators and the CPU in words, e.g. `8 x TPU v4, x86_64 host with 96 cores`."""
    import jax  # here, so that reading a model's description needs no accelerator runtime

    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}, {platform.machine()} host with {os.cpu_count()} cores"


@functools.cache  # a process runs the code that it began with
def _commit() -> str | None:
    """Return the commit of the checkout this package runs from, with `+` if it was edited; None if it is installed."""
    root = Path(l2s_jax.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        edits = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if edits.returncode else "")
