import re

import numpy as np

from input_pipeline.labels import CELEBAMASK
from l2s_jax.report import curves, plots
from l2s_jax.report.svg import PLUM, Drawing


def texts(drawing: Drawing) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.body)


def test_rows_become_shares_and_empty_rows_unknown():
    shares = plots.row_shares(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()
    assert np.isnan(plots.row_shares(np.array([[np.nan, 1.0], [np.inf, 1.0]]))).all()


def test_confusion_letters_the_percentages():
    drawing = plots.confusion(np.array([[75, 25, 0], [0, 10, 0], [0, 0, 0]]), ["background", "hair", "skin"])
    written = texts(drawing)
    assert written.count("75.0") == written.count("25.0") == written.count("100") == 1
    assert written.count("–") == 3
    assert {"background", "hair", "skin"} <= set(written)


def test_region_effect_shows_the_size_of_every_row():
    drawing = plots.region_effect(np.array([[0.03, 0.01], [0.0, 2e-5]]), ["hair", "skin"], "effect")
    assert {"0.04", "2e-05", "75.0", "100"} <= set(texts(drawing))


def opacities(drawing: Drawing, color: str) -> list[float]:
    styles = re.findall(rf'style="fill: {color}([^"]*)"', drawing.body)
    return [float(found[1]) if (found := re.search(r"opacity: ([\d.]+)", style)) else 1.0 for style in styles]


def test_dependence_is_shaded_by_its_value_on_the_scale_of_its_legend():
    pairs = np.array([[1, 0.25, 0.5], [0.25, 1, 0.75], [0.5, 0.75, 1]])
    drawing = plots.dependence(pairs, ["a", "b", "c"], {"mean": 0.5, "null": 0.125}, 0.25, "pairs")
    np.testing.assert_allclose(opacities(drawing, PLUM), [0.25, 0.5, 0.25, 0.75, 0.5, 0.75, 0.5, 0.125])
    written = texts(drawing)
    assert written.count("(0.250)") == 2  # not above chance
    assert "0.250" not in written
    assert written.count("0.750") == 2
    np.testing.assert_allclose(opacities(plots.dependence_scale(), PLUM), np.arange(1, 11) / 10)  # 0 is not painted


def test_without_a_null_no_pair_is_in_brackets():
    drawing = plots.dependence(np.eye(2), ["a", "b"], {}, None, "pairs")
    assert texts(drawing).count("0.000") == 2
    assert not any("(" in text for text in texts(drawing))


def test_heat_map_of_nineteen_classes_names_them_all():
    drawing = plots.confusion(np.eye(19, dtype=np.int64), CELEBAMASK.names)
    assert all(texts(drawing).count(name) == 2 for name in CELEBAMASK.names)


def test_bars_are_as_long_as_the_scores_and_absent_classes_say_so():
    drawing = plots.class_bars({"hair": (0.5, 0.25), "hat": (None, None)}, {"hair": "#123456"}, 0.5)
    assert {"0.500", "0.250", "none in the data", "mean F1 0.500"} <= set(texts(drawing))
    widths = []
    for path in re.findall(r'd="([^"]*)"[^>]*style="fill: #123456', drawing.body):
        x = [float(v) for v in re.findall(r"[ML] ([\d.]+)", path)]
        widths.append(max(x) - min(x))
    assert len(widths) == 2
    np.testing.assert_allclose(widths[0] / widths[1], 2, rtol=1e-4)


def test_names_from_files_are_neither_markup_nor_mathematics():
    hostile = ["<script>", "$\\frac", "a&b"]
    drawing = plots.confusion(np.eye(3, dtype=np.int64), hostile)
    assert "<script" not in drawing.body
    assert {"&lt;script&gt;", "$\\frac", "a&amp;b"} <= set(texts(drawing))


def test_drawings_are_deterministic_and_name_no_address():
    first, second = (plots.confusion(np.eye(2, dtype=np.int64), ["a", "b"]) for _ in range(2))
    assert first == second
    assert "http" not in first.body


def test_history_is_collected_by_name_and_the_last_row_of_a_step_counts():
    rows = [{"step": 2, "a": 1.0}, {"step": 1, "a": 5.0, "b": 3.0, "time": 9.0}, {"step": 2, "a": 7.0}]
    series = curves.collect(rows)
    assert set(series) == {"a", "b"}
    assert series["a"][0].tolist() == [1, 2]
    assert series["a"][1].tolist() == [5, 7]


def test_long_series_keep_their_mean_and_their_extremes():
    values = np.random.default_rng(0).normal(size=9000)
    x, mean, low, high = curves.thin(np.arange(9000.0), values, bins=90)
    assert len(x) == 90
    np.testing.assert_allclose(mean.mean(), values.mean(), rtol=1e-12)
    assert low.min() == values.min()
    assert high.max() == values.max()
    assert curves.thin(np.array([3.0]), np.array([4.0])).tolist() == [[3], [4], [4], [4]]


def test_charts_are_grouped_and_thousands_of_rows_stay_small():
    names = ("train/dice", "train/d_real", "train/r1", "train/images_per_second", "eval/reconstruction.psnr")
    rows = [{"step": s, **{name: float(s % 7) for name in names[s % 2 :: 2]}} for s in range(5000)]
    rows.append({"step": 5000, "eval/segmentation.mean_f1": 0.9, "eval/disentanglement.macro_acs": 0.8})
    rows.append({"step": 5000, "eval/segmentation.per_class.hair.f1": 0.9, "eval/segmentation.per_class.hair.iou": 0.8})
    charts = curves.curves(rows)
    groups = {chart.title: chart.group for chart in charts}
    assert groups == {
        "Scores on held-out faces": "Scores",
        "train/dice": "Losses",
        "train/d_real": "Adversarial terms",
        "train/r1": "Adversarial terms",
        "train/images_per_second": "Speed",
        "eval/reconstruction.psnr": "Evaluation",
        "eval/segmentation.per_class.hair.f1": "Evaluation",
    }
    assert any("mean_f1" in text for text in texts(charts[0].drawing))
    assert max(len(chart.drawing.body) for chart in charts) < 30_000


def test_no_history_no_charts():
    assert curves.curves([]) == []
