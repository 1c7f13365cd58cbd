"""The figure of checkpoints over time: its values, its picture, its mistakes."""

import io

from PIL import Image

from experiments import over_time

METRICS = {
    "segmentation": {"mean_f1": 0.5},
    "reconstruction": {"psnr": 20.0},
    "disentanglement": {"macro_acs": 0.3, "dead_slices": ["nose", "hair"]},
}


def test_values_of_the_panels():
    assert [over_time.value(METRICS, path) for path in over_time.PANELS.values()] == [0.5, 20.0, 0.3, 2.0]


def test_a_picture_of_two_runs():
    drawn = over_time.chart({"published": {"200": METRICS, "100": METRICS}, "ours": {"50": METRICS}})
    width, height = Image.open(io.BytesIO(drawn)).size
    assert (width, height) == (round(over_time.WIDTH * 110), round(over_time.HEIGHT * 110))


def test_what_is_no_workdir_is_one_sentence(tmp_path, capsys):
    assert over_time.main([f"ours={tmp_path}", "--out", str(tmp_path / "chart.png")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "chart.png").exists()
