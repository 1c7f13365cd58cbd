"""The table of peaks: what is known has one, what only resembles it has none."""

import pytest

from l2s_jax.config import PRECISIONS
from l2s_jax.peaks import ACCELERATORS, PEAKS, peak


def test_known_devices():
    assert peak("NVIDIA H100 80GB HBM3", "bfloat16") == 989.4e12
    assert peak("NVIDIA A100 80GB PCIe", "float32") == 156e12
    assert peak("TPU v6 lite", "bfloat16") == 918e12


@pytest.mark.parametrize("kind", ["cpu", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "nvidia h200", "TPU v9", ""])
def test_an_unknown_device_has_none(kind):
    assert [peak(kind, dtype) for dtype in PRECISIONS] == [None, None]


def test_a_dtype_without_units_has_none():
    assert peak("Tesla V100-SXM2-16GB", "bfloat16") is None


def test_the_table_speaks_of_compute_dtypes():
    assert {dtype for peaks in PEAKS.values() for dtype in peaks} == set(PRECISIONS)


def test_data_sheets():
    h200, v5e = ACCELERATORS["h200"], ACCELERATORS["v5e"]
    assert (h200.memory, h200.bandwidth, h200.links) == (141e9, 4.8e12, 900e9 / 2)
    assert (v5e.memory, v5e.bandwidth, v5e.links) == (16e9, 819e9, 400e9 / 2)
    kinds = [kind for one in ACCELERATORS.values() for kind in one.kinds]
    assert len(kinds) == len(set(kinds))
