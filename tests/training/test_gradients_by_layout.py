"""Every step's gradients on every layout of devices are those of one device."""

import layouts
import pytest


def test_stored_parts_of_the_weights_do_not_change_a_second_derivative():
    """Twice, here four times, as large where the partitioner was free to split pictures between devices."""
    assert layouts.in_eight_devices("penalty", [(8, 4)]) == {"r1 8/4": pytest.approx(0, abs=1e-4)}


@pytest.mark.slow
@pytest.mark.parametrize("case", layouts.CASES)
def test_every_step_of_every_system_on_every_layout(case):
    found = layouts.in_eight_devices(case, layouts.LAYOUTS)
    assert len(found) % len(layouts.LAYOUTS) == 0
    assert {name: worst for name, worst in found.items() if worst > 1e-3} == {}
