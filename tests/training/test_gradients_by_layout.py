"""Gradients on every layout of devices are those of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYOUTS = [(devices, fsdp) for devices in (1, 2, 4, 8) for fsdp in (1, 2, 4, 8) if fsdp <= devices]
"""All (devices, fsdp)."""
CASES = ("penalty", "segface")
"""Those of `layouts.CASES` that CI has time for; the others are as right, by campaigns (experiments/LOG.md)."""

ONE_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[3])
from tests.helpers import layouts
print(json.dumps(layouts.differences(sys.argv[1], json.loads(sys.argv[2]))))
"""


def in_eight_devices(case: str, wanted: list[tuple[int, int]]) -> dict[str, float]:
    """`layouts.differences` of a case, in a process that has eight devices."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"  # the last one counts
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS, case, json.dumps(wanted), str(ROOT)],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_stored_parts_of_the_weights_do_not_change_a_second_derivative():
    """It was four times as large where the partitioner was free to split pictures between devices."""
    assert in_eight_devices("penalty", [(8, 4)]) == {"r1 8/4": pytest.approx(0, abs=1e-4)}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_step_of_a_case_on_every_layout(case):
    found = in_eight_devices(case, LAYOUTS)
    assert found
    assert len(found) % len(LAYOUTS) == 0
    assert {name: worst for name, worst in found.items() if worst > 1e-3} == {}
