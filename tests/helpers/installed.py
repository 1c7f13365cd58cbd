"""A system in a folder of its own, installed as a distribution that announces it by an entry point."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(root: Path, name: str, modules: Mapping[str, str]) -> Iterator[Path]:
    """Work in the folder `root`, which holds the package `name` with these files, as `pip install -e .` leaves it.

    Args:
      root: an empty folder; it is the home of the user, too.
      name: of the package and of its system.
      modules: code by path below `root`.
    """
    for path, code in {f"{name}/__init__.py": "", **modules}.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(code)
    info = root / f"{name}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[l2s_jax.systems]\n{name} = {name}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(root)
        patch.setenv("HOME", str(root))
        yield root
