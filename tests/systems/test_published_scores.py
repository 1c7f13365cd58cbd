import numpy as np
import pytest

from input_pipeline import labels
from l2s_jax import systems
from l2s_jax.systems import published_result as find
from l2s_jax.systems.base import Result

FACES = "records:records/faces?test"
EVERY = [
    (system, label_set, result)
    for system in systems.names()
    for label_set, results in systems.published(system).results.items()
    for result in results
]


def foreground(result: Result) -> dict[str, float]:
    return {name: f1 for name, f1 in result.f1.items() if name != "background"}


@pytest.mark.parametrize(("system", "label_set", "result"), EVERY)
def test_every_class_has_its_row(system, label_set, result):
    assert system in systems.names()
    assert set(result.f1) | {"background"} == set(labels.get(label_set).names)
    assert all(0.5 < value < 1 for value in result.f1.values())


@pytest.mark.parametrize(("system", "label_set", "result"), EVERY)
def test_published_means_are_those_of_their_rows(system, label_set, result):
    # Rows are rounded to 0.1 per cent, means to 0.01.
    assert result.mean_f1 == pytest.approx(np.mean(list(foreground(result).values())), abs=0.0005 + 0.00005)


@pytest.mark.parametrize(("system", "label_set", "result"), [row for row in EVERY if row[2].mean_iou is not None])
def test_published_iou_counts_the_background(system, label_set, result):
    """F1 of a class gives its IoU; the background's, which most papers do not print, is what the mean then lacks."""
    known = foreground(result).values()
    background = result.mean_iou * (len(known) + 1) - sum(f1 / (2 - f1) for f1 in known)
    assert 0.9 < background < 1


@pytest.mark.parametrize(
    ("system", "label_set", "size", "name", "f1", "mean"),
    [
        ("segface", "celebamask", 512, "neck_l", 0.634, 0.8896),
        ("segface", "farl19", 448, "ear_r", 0.745, 0.8877),
        ("segface", "bisenet19", 224, "eye_g", 0.940, 0.8747),
        ("segface", "lapa", 256, "u_lip", 0.884, 0.9261),
        ("structure_via_consensus", "skin_hair", 128, "hair", 0.8626, 0.9067),
        ("latents2segments", "l2s_regions", 128, "eyes", 0.578, 0.7287),
    ],
)
def test_known_numbers_by_label_set(system, label_set, size, name, f1, mean):
    result = find(system, labels.get(label_set), size, FACES)
    assert result.image_size == size
    assert (result.f1[name], result.mean_f1) == pytest.approx((f1, mean), abs=1e-12)


def test_lapas_sides_follow_the_ids():
    """The paper's rows are named by ids: "L-Eye" is id 4, "R-Eye" 5, "L-Brow" 2, "R-Brow" 3."""
    reported = find("segface", labels.LAPA, 224, FACES)
    in_paper = {2: 0.909, 3: 0.908, 4: 0.919, 5: 0.921}
    assert {k: reported.f1[labels.LAPA.names[k]] for k in in_paper} == pytest.approx(in_paper, abs=1e-12)


@pytest.mark.parametrize(("size", "nearest"), [(64, 224), (241, 256), (352, 256), (353, 448), (1024, 512)])
def test_the_nearest_resolution_is_taken(size, nearest):
    assert find("segface", labels.LAPA, size, FACES).image_size == nearest


def test_nothing_stands_beside_what_was_never_published():
    assert find("segface", labels.HELEN, 512, FACES) is None
    assert find("segface", labels.L2S_REGIONS, 512, FACES) is None
    assert find("latents2segments", labels.CELEBAMASK, 512, FACES) is None
    assert find("no_such_system", labels.LAPA, 512, FACES) is None


def test_drawn_faces_do_not_compare_with_published_ones():
    assert find("segface", labels.LAPA, 512, "synthetic:200?test") is None
    assert find("segface", labels.LAPA, 512, "folder:synthetic?test") is not None


def test_caption_says_whose_numbers_these_are():
    caption = find("segface", labels.LAPA, 512, FACES).caption
    for words in ("SegFace", "AAAI 2025", "512 px", "LaPa, 2,000 faces", "0.930", "0.881", "not measured here"):
        assert words in caption
    assert "IoU" not in find("latents2segments", labels.L2S_REGIONS, 128, FACES).caption


def test_published_activeness_of_table_1():
    (table,) = systems.published_activeness()
    assert table.acs == {
        "pixel2style2pixel": 0.189,
        "StyleGAN2-ADA with projection": 0.194,
        "Swapping Autoencoder": 0.259,
        "Latents2Segments": 0.819,
    }
    assert table.slices == len(labels.L2S_REGIONS) - 1
    for words in ("Table 1", "Tomar and Rajagopalan", "128 px", "862 faces", "not measured here"):
        assert words in table.caption
