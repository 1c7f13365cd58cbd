"""The chart of the consensus study: what it reads, and that it shows every loss."""

import io

import numpy as np
import pytest
from PIL import Image

from experiments import consensus_chart

HEAD = "loss,seed,class,components_off,class_by_class,f1,iou,boundary_f1\n"
RUNS = (
    HEAD + "ce,0,all,2.5,3,0.9,0.8,0.3\nce,0,skin,1,,0.9,,\nce,1,all,1.5,2,0.88,0.8,0.3\n1:1,0,all,1,1,0.91,0.8,0.3\n"
)


def test_it_draws_what_the_study_wrote(tmp_path):
    (tmp_path / "runs.csv").write_text(RUNS)
    runs = consensus_chart.read(tmp_path / "runs.csv")
    assert runs == {
        "ce": [{"components_off": 2.5, "f1": 0.9}, {"components_off": 1.5, "f1": 0.88}],
        "1:1": [{"components_off": 1.0, "f1": 0.91}],
    }
    assert consensus_chart.main([str(tmp_path / "runs.csv"), str(tmp_path / "chart.png")]) == 0
    drawn = Image.open(tmp_path / "chart.png")
    assert (drawn.format, drawn.width) == ("PNG", 1100)
    other = consensus_chart.chart(runs | {"1:1": [{"components_off": 2.0, "f1": 0.91}]})
    assert np.any(np.asarray(drawn) != np.asarray(Image.open(io.BytesIO(other))))
    taller = Image.open(io.BytesIO(consensus_chart.chart(runs | {"1:0": runs["1:1"]})))
    assert taller.height > drawn.height


@pytest.mark.parametrize("text", [None, HEAD, "a,b\n1,2\n", RUNS.replace("2.5", "many"), "\0\1"])
def test_another_file_is_one_sentence(tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "runs.csv").write_text(text)
    assert consensus_chart.main([str(tmp_path / "runs.csv"), str(tmp_path / "chart.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "chart.png").exists()
