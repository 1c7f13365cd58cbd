"""Compiling for TPUs that are not there: what is said where the wheel for it is missing. (No test needs the wheel.)"""

import sys

import pytest

from input_pipeline.errors import UserError
from l2s_jax.peaks import ACCELERATORS
from l2s_jax.training import ahead


def test_without_the_wheel_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    with pytest.raises(UserError, match=r"compiling for v5e-256 needs JAX's TPU wheel, though no TPU \(pip install"):
        ahead.devices("v5e-256")


def test_an_unknown_slice():
    with pytest.raises(UserError, match=r"unknown TPU slice 'v5e-255' \(did you mean 'v5e-256'\?\)"):
        ahead.devices("v5e-255")


def test_the_shape_of_a_slice_has_its_chips():
    for name, topology in ahead.SLICES.items():
        kind, _, number = name.partition("-")
        chips = 1
        for side in topology.partition(":")[2].split("x"):
            chips *= int(side)
        assert chips == int(number) // (2 if kind == "v5p" else 1)
        assert topology.partition(":")[0] == kind
        assert kind in ACCELERATORS
