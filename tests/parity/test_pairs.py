"""A folder of goldens in which nothing can be checked is refused, not passed over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.pairs import pairs, read


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "no pair NAME.json"),
        ({"notes.json": json.dumps([1]), "other.json": json.dumps({"tag": "x", "M": {}}), "other.npz": ""}, "no pair"),
        ({"half.json": json.dumps({"models": {}})}, "half.npz is missing"),
    ],
)
def test_a_folder_without_known_pairs_is_refused(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(pytest.UsageError, match=sentence):
        read(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(pytest.UsageError, match="no such folder"):
        read(tmp_path / "none")


def test_pairs_of_other_systems_may_lie_beside_ours(tmp_path):
    for name, content in {"a": {"models": {}}, "b": {"tag": "x", "M": {}}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        (tmp_path / f"{name}.npz").touch()
    named = type("Config", (), {"getoption": lambda self, name: tmp_path})()
    assert pairs(named, "segface") == [({"models": {}}, tmp_path / "a.npz")]
    assert pairs(named, "latents2segments") == []


def test_pytest_itself_fails_with_the_sentence(tmp_path):
    argv = [sys.executable, "-m", "pytest", "-n", "0", "--goldens", tmp_path, "-k", "missing_folder", __file__]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith(f"ERROR: --goldens {tmp_path}: no pair NAME.json + NAME.npz of ")
