"""The launch recipes start a run, in their smoke mode."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one_node", "two_hosts", "slurm", "gke_tpu"])
def test_a_recipe_trains_to_the_report(name, tmp_path):
    # `l2s` is the command of this checkout and of this Python, whatever is installed.
    command = tmp_path / "l2s"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m l2s_jax "$@"\n')
    command.chmod(0o755)
    recipe = subprocess.run(
        ["bash", str(ROOT / "experiments" / "launch" / f"{name}.sh"), "--smoke"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert recipe.returncode == 0, recipe.stderr
    assert recipe.stdout.count("\nreport ") == 1
