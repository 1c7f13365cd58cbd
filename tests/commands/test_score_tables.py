import io

import numpy as np
import pytest
from rich.console import Console

from input_pipeline.labels import CELEBAMASK, HELEN, L2S_REGIONS, LAPA, LabelSet
from l2s_jax import systems
from l2s_jax.commands import scores
from l2s_jax.metrics import segmentation
from l2s_jax.systems.base import Result

SPEC = "records:records/celebamask?test"


def perfect_metrics(label_set: LabelSet, absent: str | None = None) -> dict:
    """At network resolution all is right; at native size the second half of the background is called skin."""
    network = np.diag(np.full(len(label_set), 100))
    if absent is not None:
        network[label_set[absent], label_set[absent]] = 0
    native = 4 * network
    native[0, 0], native[0, label_set["skin"]] = 200, 200
    found, at_size = (segmentation.scores(counts, label_set.names) for counts in (network, native))
    return {"segmentation": {**found, "native": at_size}, "data": {"spec": SPEC, "examples": 7}}


def shown(metrics: dict, label_set: LabelSet, reported: Result | None, width: int = 80) -> list[str]:
    """Lines on a terminal of `width` columns."""
    file = io.StringIO()
    scores.show(Console(file=file, width=width, highlight=False), metrics, label_set, reported)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def row(lines: list[str], title: str) -> list[str]:
    """The cells after the title of a class."""
    return next(line for line in lines if line.strip().startswith(title)).strip().removeprefix(title).split()


def test_both_resolutions_and_the_published_numbers_side_by_side():
    reported = systems.published_result("segface", CELEBAMASK, 512, SPEC)
    lines = shown(perfect_metrics(CELEBAMASK, absent="hat"), CELEBAMASK, reported)
    assert row(lines, "class") == ["F1", "IoU", "F1", "native", "published", "F1"]
    assert row(lines, "skin") == ["1.000", "1.000", "0.800", "0.967"]
    assert row(lines, "necklace") == ["1.000", "1.000", "1.000", "0.634"]
    assert row(lines, "hat") == ["-", "-", "-", "0.893"]
    assert row(lines, "background")[-1] == "-"
    assert reported.caption in " ".join(line.strip() for line in lines)


def test_no_column_without_published_numbers():
    text = "\n".join(shown(perfect_metrics(HELEN), HELEN, systems.published_result("segface", HELEN, 512, SPEC)))
    assert "F1 native" in text
    assert "ublished" not in text


def full_metrics() -> dict:
    """With slices, reconstructions and all baselines; a pixel of four is of each class but the nose and the hat."""
    metrics = perfect_metrics(L2S_REGIONS)
    counts = np.zeros((2, 2, len(L2S_REGIONS)), int)
    counts[0, 0, 0] = counts[0, 1, 1] = counts[1, 0, 2] = counts[1, 1, 4] = 10
    metrics["segmentation"]["baselines"] = segmentation.baselines(counts, L2S_REGIONS.names)
    metrics["disentanglement"] = {
        "leak": dict.fromkeys(L2S_REGIONS.names, 0.125),
        "acs": 0.9,
        "macro_acs": 0.8742,
        "chance": 1 / 6,
        "dead_slices": ["eyes", "lips"],
        "without_matte": {"macro_acs": 0.1771},
        "random_generator": {"macro_acs": 0.7812, "examples": 4},
    }
    metrics["reconstruction"] = {"l1": 0.2, "psnr": 18.21, "mean_face": {"l1": 0.4, "psnr": 12.34}}
    return metrics


def test_structure_has_columns_where_there_is_room_and_always_a_line():
    metrics = full_metrics()
    metrics["segmentation"]["components_off"] = {"total": 1.25, "per_class": dict.fromkeys(L2S_REGIONS.names, 0.375)}
    metrics["segmentation"]["boundary_f1"] = {"mean": 0.8125, "per_class": dict.fromkeys(L2S_REGIONS.names, 0.6875)}
    reported = systems.published_result("latents2segments", L2S_REGIONS, 128, SPEC)
    narrow, wide = (shown(metrics, L2S_REGIONS, reported, width) for width in (80, 160))
    assert row(wide, "class")[:8] == ["F1", "IoU", "F1", "native", "boundary", "F1", "components", "off"]
    assert row(wide, "eyes") == ["1.000", "1.000", "1.000", "0.688", "0.38", "1.000", "0.125", "0.578"]
    assert row(narrow, "eyes") == ["1.000", "1.000", "1.000", "1.000", "0.125", "0.578"]
    for lines in (narrow, wide):
        assert "boundary F1 0.812  components off 1.25 a face" in lines


def test_widest_table_fits_80_columns():
    lines = shown(full_metrics(), L2S_REGIONS, systems.published_result("latents2segments", L2S_REGIONS, 128, SPEC))
    assert row(lines, "eyes") == ["1.000", "1.000", "1.000", "1.000", "0.125", "0.578"]
    assert row(lines, "nose") == ["1.000", "1.000", "1.000", "-", "0.125", "0.760"]


def test_every_score_has_its_baseline_beside_it():
    lines = [line.strip() for line in shown(full_metrics(), L2S_REGIONS, None)]
    for score, beside in {
        "mean F1": "beside it: mean mask 1.000, chance 0.250",
        "macro ACS": "beside it: random generator 0.781, without the matte 0.177, chance 0.167",
        "reconstruction": "beside it: the mean face L1 0.400  PSNR 12.34 dB",
    }.items():
        place = next(k for k, line in enumerate(lines) if line.startswith(score))
        assert beside in lines[place + 1 : place + 3]


def test_scores_from_before_there_were_baselines_are_shown_without():
    metrics = full_metrics()
    del metrics["segmentation"]["baselines"], metrics["reconstruction"]["mean_face"]
    for name in ("chance", "without_matte", "random_generator"):
        del metrics["disentanglement"][name]
    text = "\n".join(shown(metrics, L2S_REGIONS, None))
    assert "macro ACS 0.874" in text
    assert "beside it" not in text
    assert "mean mask" not in text


@pytest.mark.parametrize("label_set", [LAPA, CELEBAMASK])
def test_summary_has_all_three_means(label_set):
    metrics = perfect_metrics(label_set)
    # All left eyes called right ones: by side two classes suffer, as one class none.
    counts = np.diag(np.full(len(label_set), 100))
    left, right = label_set["l_eye"], label_set["r_eye"]
    counts[left, left], counts[left, right] = 0, 100
    metrics["segmentation"] |= segmentation.scores(counts, label_set.names)
    foreground = len(label_set) - 1
    first, second, *_ = scores.summary(metrics)
    assert f"mean F1 [bold]{(foreground - 2 + 2 / 3) / foreground:.3f}[/]" in first
    assert f"native {(foreground - 0.2) / foreground:.3f}" in first
    assert "7 faces" in first
    assert "left and right as one: mean F1 1.000" in second
    assert "eyes 1.000" in second


def test_a_label_set_without_sides_has_no_line_for_them():
    assert not any("left and right" in line for line in scores.summary(perfect_metrics(L2S_REGIONS)))
