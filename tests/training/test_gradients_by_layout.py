"""Gradients on every layout of devices are those of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYOUTS = [(devices, fsdp, "jit") for devices in (1, 2, 4, 8) for fsdp in (1, 2, 4, 8) if fsdp <= devices]
LAYOUTS += [(8, 1, "pmap"), (8, 1, "shard_map")]
"""(devices, fsdp, mode)."""
CASES = (("penalty", "r1"), ("segface", "train"))
"""Those of `layouts.CASES` that CI has time for, and a step; `python -m tests.helpers.layouts` shows all."""

ONE_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[2])
from tests.helpers import layouts
print(json.dumps(list(layouts.differences(*json.loads(sys.argv[1])))))
"""


def in_eight_devices(case: str, step: str, wanted: list[tuple[int, int, str]]) -> list[float]:
    """`layouts.differences` of a step, in a process that has eight devices."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"  # the last one counts
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS, json.dumps([case, step, wanted]), str(ROOT)],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_stored_parts_of_the_weights_do_not_change_a_second_derivative():
    """It was four times as large where the partitioner was free to split pictures between devices."""
    assert in_eight_devices("penalty", "r1", [(8, 4, "jit")]) == pytest.approx([0], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "step"), CASES)
def test_a_step_on_every_layout(case, step):
    found = dict(zip(LAYOUTS, in_eight_devices(case, step, LAYOUTS), strict=True))
    assert {layout: worst for layout, worst in found.items() if worst > 1e-4} == {}
