"""Finds golden pairs NAME.json + NAME.npz in the folder of `--goldens`."""

import json
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[1] / "data" / "goldens"


def pairs(config, belongs):
    """[(json content, path of the npz)] of the pairs whose json `belongs(content)` to a system."""
    folder = Path(config.getoption("--goldens") or DEFAULT)
    if not folder.is_dir():
        raise pytest.UsageError(f"--goldens {folder}: no such folder")
    contents = [(json.loads(path.read_text()), path.with_suffix(".npz")) for path in sorted(folder.glob("*.json"))]
    return [(content, arrays) for content, arrays in contents if belongs(content)]
