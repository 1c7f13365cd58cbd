"""The fuzz campaign: a small one over every gate, and what it says of gates that fail."""

import pytest
from hypothesis import strategies as st

from experiments.fuzz import __main__ as fuzz
from experiments.fuzz import measure
from experiments.fuzz.gates import gates as all_gates
from input_pipeline.errors import UserError

GATES = (
    "photos",
    "masks",
    "drawings",
    "records",
    "label maps",
    "archives of weights",
    "weights of others",
    "descriptions of models",
    "sizes of models",
    "weights of models",
    "configs",
    "overrides",
    "command lines",
    "folders of records",
    "runs to report",
    "exported folders",
    "requests",
    "requests at once",
)


@pytest.fixture(scope="module")
def gates(tmp_path_factory):
    return all_gates(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", GATES)
def test_a_gate_refuses_in_a_sentence_or_answers(gates, name):
    outcome = measure.measure(gates[name], 15, seed=1)
    assert [reason for _, reason in outcome.failures] == []
    assert outcome.count.total() == 15
    assert outcome.memory < fuzz.MEMORY


def test_every_gate_is_tested(gates):
    assert tuple(gates) == GATES
    assert sum(gate.share for gate in gates.values()) == pytest.approx(1)


def test_crashes_and_hangs_are_counted_and_kept(monkeypatch):
    def take(number):
        if number == 1:
            raise UserError("no such number")
        if number == 2:
            raise KeyError(number)
        while number == 3:
            pass

    monkeypatch.setattr(measure, "SECONDS", 0.05)
    outcome = measure.measure(measure.Gate(1.0, st.sampled_from(range(4)), take), 4, seed=0)
    assert outcome.count == {"taken": 1, "refused": 1, "crashed": 1, "hung": 1}
    assert {value for value, _ in outcome.failures} == {2, 3}
