"""What every program costs, beside the golden file: nothing grows unnoticed."""

import json

import pytest

from l2s_jax import systems
from tests.helpers import costs

EXPECTED = json.loads(costs.GOLDEN.read_text())
BAND = 2.0
"""Factor by which versions of XLA may differ in what they make of a program: jaxlib 0.10.0 and 0.10.2 do by 1.62."""


LONG = ("latents2segments", "id_disentanglement")
"""Systems with many steps: tracing them takes as long as all others together."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case in LONG)) for case in costs.CONFIGS | costs.INFERENCE],
)
def test_programs_cost_what_they_did(case):
    found, moved = costs.costs(case), []
    assert found.keys() == EXPECTED[case].keys()
    for program, numbers in EXPECTED[case].items():
        for name, expected in numbers.items():
            value = found[program][name]
            if not (expected / BAND <= value <= expected * BAND if name in costs.BANDED else value == expected):
                moved.append(f"{program}: {name} {expected} -> {value}")
    assert not moved, "if this was meant: python -m tests.helpers.costs"


def test_every_system_is_in_the_file():
    assert EXPECTED.keys() == (costs.CONFIGS | costs.INFERENCE).keys()
    assert costs.CONFIGS.keys() == set(systems.names())


def test_no_second_derivative_holds_a_dilated_convolution():
    """XLA's gradients of convolutions with zeros between their input's pixels are up to 30 times slower."""
    twice = [
        (case, step) for case, steps in EXPECTED.items() for step in ("step r1", "step path_length") if step in steps
    ]
    assert len(twice) == 3
    assert [EXPECTED[case][step]["dilated"] for case, step in twice] == [0, 0, 0]
