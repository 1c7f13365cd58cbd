import html
import json
import re

import pytest

from input_pipeline.labels import L2S_REGIONS, LAPA
from l2s_jax import systems
from l2s_jax.report.html import write_report

REAL = "records:records/faces?test"


def scored(workdir, metrics, spec: str, **changes) -> str:
    """The section of the classes, of faces named `spec` and a config with `changes`."""
    for drawn in ("evaluation.npz", "metrics.jsonl"):  # pictures and charts, which take most of the time
        (workdir / drawn).unlink(missing_ok=True)
    metrics["data"]["spec"] = spec
    config = json.loads((workdir / "config.json").read_text()) | changes
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    (workdir / "config.json").write_text(json.dumps(config))
    return re.search(r'<section id="classes">(.*?)</section>', write_report(workdir).read_text(), re.DOTALL)[1]


def cells(section: str, name: str) -> list[str]:
    """Texts of the row of a class, and of the head for `class`."""
    row = next(row for row in re.findall(r"<tr>(.*?)</tr>", section) if re.search(rf">{name}</th>", row))
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]


def test_published_scores_stand_beside_ours_and_say_whose_they_are(workdir, metrics):
    section = scored(workdir, metrics, REAL)
    assert cells(section, "class")[-4:] == ["components off", "mean mask F1", "published F1", "share of pixels"]
    assert cells(section, "skin")[1:8] == ["0.812", "0.688", "0.900", "0.700", "0.812", "0.457", "0.62"]
    assert cells(section, "skin")[8:10] == ["0.322", "0.853"]
    assert cells(section, "nose")[5:10] == ["–", "0.457", "0.62", "0.322", "0.760"]
    assert cells(section, "background")[9] == "–"
    caption = systems.published_result("latents2segments", L2S_REGIONS, 24, REAL).caption
    assert caption in html.unescape(section)


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ("synthetic:200?test", {}),
        (REAL, {"system": "segface"}),
        (REAL, {"system": ["latents2segments"]}),
        (REAL, {"image_size": "128"}),
    ],
)
def test_no_column_where_nothing_compares(workdir, metrics, spec, changes):
    assert "ublished" not in scored(workdir, metrics, spec, **changes)


def test_left_and_right_as_one_have_a_table_and_a_tile(workdir, metrics):
    sides = {name: {"f1": 0.5, "iou": 0.25} for name in LAPA.names}
    merged = {"skin": {"f1": 0.75}, "eyes": {"f1": 0.625, "iou": 0.375, "precision": 0.875, "recall": 0.125}}
    native = {"per_class": sides, "merged": {"per_class": {"eyes": {"f1": 0.5625}}}}
    means = {"merged": {"mean_f1": 0.6875, "per_class": merged}, "native": native}
    metrics["segmentation"] = {"mean_f1": 0.5, "per_class": sides, **means}
    section = scored(workdir, metrics, REAL, label_set="lapa")
    assert section.count("<table>") == 2
    assert cells(section, "eyes") == ["eyes", "0.625", "0.375", "0.875", "0.125", "0.562"]
    assert len(cells(section.rpartition("<table>")[2], "left and right as one")) == 6
    assert re.search(r"<b>0\.688</b><span>mean F1, merged</span>", (workdir / "report.html").read_text())


def test_without_sides_there_is_no_second_table(workdir, metrics):
    assert scored(workdir, metrics, REAL).count("<table>") == 1


@pytest.mark.parametrize("spec", ["synthetic:200?test", REAL])
def test_table_of_activeness_says_whose_numbers_these_are_and_on_which_faces(workdir, metrics, spec):
    metrics["data"] = {"spec": spec, "examples": 200}
    metrics["disentanglement"]["without_matte"] |= {"acs": 0.4321, "chance": 1 / 6}
    metrics["disentanglement"]["random_generator"] |= {"acs": 0.3456, "chance": 0.25}
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    page = write_report(workdir).read_text()
    section = re.search(r'<section id="effect">(.*?)</section>', page, re.DOTALL)[1]
    section = section[section.index("pixel2style2pixel") - 200 :]
    paper = "CelebAMask-HQ, 862 faces that show all five regions"
    for name, acs in (("pixel2style2pixel", "0.189"), ("Swapping Autoencoder", "0.259"), ("Latents2Segments", "0.819")):
        assert cells(section, name) == [name, acs, "0.200", paper, "the paper"]
    assert cells(section, "this model") == ["this model", "0.900", "0.167", f"{spec}, 200 faces", "this run"]
    assert cells(section, "without the matte") == [
        "without the matte",
        "0.432",
        "0.167",
        f"{spec}, 200 faces",
        "this run",
    ]
    assert cells(section, "random generator") == ["random generator", "0.346", "0.250", f"{spec}, 60 faces", "this run"]
    (table,) = systems.published_activeness()
    assert " ".join(table.caption.split()) in " ".join(html.unescape(section).split())


def test_no_table_of_activeness_where_none_was_measured(workdir, metrics):
    del metrics["disentanglement"]["acs"]
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    assert "pixel2style2pixel" not in write_report(workdir).read_text()
