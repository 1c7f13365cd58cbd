"""The table and the growth of runs of the bench, from numbers that are known."""

import dataclasses
import json

import cv2
import pytest

from experiments.bench import growth, table
from l2s_jax.bench.results import Measurement, Result

ONE = Measurement("segface", "mini", 64, "float32", "parse", 1, 2.0, 0.1, 0.2, 0.3, 5, 4e9, 2**20, 8e10)


def test_runs_in_one_table():
    slower = dataclasses.replace(ONE, median_s=2.0)
    other = dataclasses.replace(ONE, variant="", program="training", data_wait=0.25)
    lines = table.markdown(table.joined([Result("cpu", 1, [ONE]), Result("cpu", 1, [slower, other])])).splitlines()
    assert lines[0].startswith("| system | px | dtype | program | batch | compile | median |")
    assert set(lines[1]) == {"|", "-"}
    assert lines[2] == "| mini | 64 | f32 | parse | 1 | 2.0 s | 200 ms | 300 ms | 5 | 4 | 20 | 25.0 % | - | 1 MiB | - |"
    assert lines[3].startswith("| segface | 64 | f32 | training |")
    assert lines[3].endswith("| 25.0 % |")
    assert len(lines) == 4


def test_exponents_by_hand(tmp_path, capsys):
    for size in (64, 128, 256):
        row = dataclasses.replace(ONE, median_s=size**2 / 1e5, flops=float(size**3), peak_bytes=size)
        points = [("line", size, dataclasses.asdict(row))]
        (tmp_path / f"{size}.json").write_text(json.dumps({"axis": "resolution", "points": points}))
    growth.plot(sorted(tmp_path.glob("*.json")), tmp_path / "growth.png")
    assert "| resolution | line | 64 .. 256 | 2.00 | 3.00 | 1.00 | 2.00 | 3.00 |" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "growth.png")).shape[0] == 306


@pytest.mark.parametrize("count", ["hair_skin", "lapa"])
def test_slices_follow_the_regions(count):
    subject = growth.l2s(64, count)
    assert len(subject.system.label_set) == len(subject.config.model.slices)
    assert list(subject.system.segmenters) == ["decodes", "light"]
