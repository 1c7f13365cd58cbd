"""Finds golden pairs NAME.json + NAME.npz in the folder of `--goldens`."""

import json
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[1] / "data" / "goldens"

BELONGS = {
    "latents2segments": lambda content: "region_slices" in content and "E" in content.get("state", {}),
    "segface": lambda content: "models" in content,
    "id_disentanglement": lambda content: "mapper" in content and "w_discriminator" in content,
    "recognition": lambda content: "arcface_ir_se50" in content and "landmark_mobilefacenet" in content,
    "stylegan2": lambda content: "stylegan2_generator" in content,
    "structure_via_consensus": lambda content: "FaceOccNet" in content,
}
"""Whether the content of a json is a golden of a system. Pairs of other systems may lie beside ours."""


def pairs(config, system):
    """[(json content, path of the npz)] of the pairs of a system."""
    return [pair for pair in read(config.getoption("--goldens") or DEFAULT) if BELONGS[system](pair[0])]


def read(folder):
    """[(json content, path of the npz)] of all pairs in a folder.

    Raises:
      pytest.UsageError: there is no such folder, no pair that a test here checks, or half of one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise pytest.UsageError(f"--goldens {folder}: no such folder")
    found = [(json.loads(path.read_text()), path.with_suffix(".npz")) for path in sorted(folder.glob("*.json"))]
    found = [(content, arrays) for content, arrays in found if isinstance(content, dict)]
    known = [arrays for content, arrays in found if any(belongs(content) for belongs in BELONGS.values())]
    if not known:
        raise pytest.UsageError(f"--goldens {folder}: no pair NAME.json + NAME.npz of {', '.join(BELONGS)} in there")
    for arrays in known:
        if not arrays.is_file():
            raise pytest.UsageError(f"--goldens {folder}: {arrays.name} is missing beside its json")
    return found
