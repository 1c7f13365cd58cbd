import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.labels import L2S_REGIONS
from l2s_jax.report.dependence import dependence_maps
from l2s_jax.report.html import write_report
from l2s_jax.report.svg import PALETTE

VOID = {"meta", "img", "br", "link", "input", "hr"}
ALL = [
    "Summary", "Masks", "Classes", "Confusion", "Reconstruction", "Slices alone", "Swaps", "Swap triangle",
    "Traversals", "Region effect", "Dependence", "Training", "Config", "Terms",
]  # fmt: skip
DECODED = ("Swap triangle", "Traversals")
HOSTILE = '"><script src=//evil></script><img src=x onerror=alert(1)>$title&amp;'


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags, attributes and text."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def titles(text: str) -> list[str]:
    return re.findall(r"<h2>([^<]*)</h2>", text)


def test_whole_report(report, workdir):
    text = report()
    page = Page(text)
    assert titles(text) == ALL
    for number in ("0.837", "0.825 at full size", "0.722", "0.874", "0.083", "24.3", "200", "synthetic:200?test"):
        assert number in page.text
    assert page.tags.count("img") == 6
    assert "Left out" not in text
    assert {path.name for path in workdir.iterdir()} == {
        "config.json", "metrics.jsonl", "metrics.json", "evaluation.npz", "panels", "report.html",
    }  # fmt: skip


def test_every_score_has_its_baseline_beside_it(page):
    text = " ".join(Page(page).text.split())
    assert "0.825 at full size; mean mask 0.412" in text
    assert "random generator 0.781; without the matte 0.177; by chance 0.167" in text
    assert "decibels; mean face 12.3" in text
    assert "mean mask F1" in text
    assert "0.322" in text
    assert "0.432 11.1" in text  # the mean face inside a region
    assert "this model 0.874 0.853 0.177 0.189 random generator 0.781 0.791 0.169 0.170 chance 0.167" in text
    assert "60 faces" in text
    assert "leak without the matte" in text
    assert "0.821" in text
    assert "before the masks cut them out: what the generator itself keeps apart" in text


def test_structure_is_shown(page):
    text = " ".join(Page(page).text.split())
    assert "0.543 boundary F1" in text
    assert "1.38 components off" in text
    assert "0.457 0.62 0.322" in text  # in the row of a class: boundary F1, components off, mean mask


def test_what_keeps_slices_apart_is_shown_beside_what_it_is_compared_with(workdir, metrics):
    metrics["segmentation_by"] = {"decodes": {"mean_f1": 0.8371}, "light": {"mean_f1": 0.8291}}
    metrics["disentanglement"] |= {"probe_leakage": 0.4512, "probe": {"own_truth": 0.4237}}
    metrics["swap"] = {"outside_over_inside": 0.0213, "seam": 1.1234}
    metrics["realism"] = {"photos": 0.0011, "reconstructions": 1.6967}
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    page = write_report(workdir).read_text()
    for shown in ("0.829", "0.451", "own outline 0.424", "0.021", "1.123", "1.697", "photos 0.001"):
        assert shown in page
    assert "by the painter rule" not in page  # not measured


def test_a_report_of_metrics_without_baselines_and_structure(workdir, metrics, arrays):
    for name in ("components_off", "boundary_f1"):
        del metrics["segmentation"][name]
    del metrics["segmentation"]["baselines"], metrics["reconstruction"]["mean_face"]
    for name in ("effect_unmatted", "random_effect", "random_effect_unmatted"):
        del arrays[name]
    for name in ("chance", "without_matte", "random_generator"):
        del metrics["disentanglement"][name]
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    np.savez(workdir / "evaluation.npz", **arrays)
    text = write_report(workdir).read_text()
    assert titles(text) == ALL
    measured, _ = text.split('id="terms"')
    for word in ("mean mask", "mean face", "without the matte", "random generator"):
        assert word not in measured.replace("a generator with random", "")


def section(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}">(.*?)</section>', text, re.DOTALL)[1]


def drawings(text: str) -> dict[str, list[str]]:
    """The texts of every drawing by its description."""
    found = re.findall(r'<svg role="img" aria-label="([^"]*)"(.*?)</svg>', text, re.DOTALL)
    return {label: re.findall(r"<text[^>]*>([^<]*)</text>", body) for label, body in found}


def test_region_effects_stand_beside_those_of_the_random_generator(page):
    part = section(page, "effect")
    shown, scale = drawings(part), "colour scale from 0 to 100 per cent of a row"
    views = "this model, with the matte", "random generator, with the matte", "this model, without the matte"
    maps = [f"region effect, {view}" for view in (*views, "random generator, without the matte")]
    assert list(shown) == [*maps[:2], scale, *maps[2:]]
    assert part.count(scale) == 2  # one for each pair
    assert [shown[maps[k]].count(share) for k, share in enumerate(("80.8", "28.6"))] == [6, 6]
    # The diagonals: 0.021 of 0.026, and 0.02 of 0.07.
    assert {"0 %", "100 %"} <= set(shown[scale])


def test_dependence_shows_the_numbers_of_the_file_beside_their_null(page, metrics):
    part = section(page, "dependence")
    assert re.findall("<h3>(.*?)</h3>", part) == ["Sample: pooled", "Sample: one face"]
    assert re.findall("<h4>(.*?)</h4>", part) == ["normalised HSIC", "distance correlation, squared"]
    shown = drawings(part)
    for label, sample, name in (
        ("normalised HSIC of pairs of slices, pooled", "pooled", "hsic"),
        ("distance correlation, squared of pairs of slices, one face", "one_face", "dcor"),
    ):
        entry = metrics["disentanglement"]["dependence"][sample][name]
        expected = []
        for row, column in np.ndindex(6, 6):
            value = entry["pairs"][row][column]
            expected += [] if row == column else [f"({value:.3f})" if value <= entry["null_max"] else f"{value:.3f}"]
        beside = [f"{entry[key]:.3f}" for key in ("mean", "null", "null_max")]
        numbers = [text for text in shown[label] if re.fullmatch(r"\(?[\d.]+\)?", text)]
        assert sorted(numbers) == sorted(expected + beside)
        assert {"mean", "null", "null max", *L2S_REGIONS.names} <= set(shown[label])
    assert part.count("11 of 15 pairs above the largest null") == 2


@pytest.mark.parametrize(
    "entry", [None, 3, {}, {"pairs": 1}, {"pairs": []}, {"pairs": [1]}, {"pairs": [[1, 2]]}, {"pairs": [["a"]]}]
)
def test_entries_that_are_no_matrix_are_left_out(metrics, entry):
    measured = metrics["disentanglement"]
    measured["dependence"] |= {
        "joint": 0.5,
        "odd": {"hsic": entry},
        "some": {"rv": entry, "pooled_rv": measured["dependence"]["pooled"]["hsic"]},
    }
    found = {sample: [matrix.title for matrix in matrices] for sample, matrices in dependence_maps(measured).items()}
    assert found == {
        "pooled": ["normalised HSIC"],
        "one face": ["distance correlation, squared"],
        "some": ["pooled rv"],
    }


def test_a_matrix_without_names_and_null_is_drawn_with_numbers():
    ((matrix,),) = dependence_maps({"dependence": {"any": {"rv": {"pairs": [[1, 0.5], [0.5, 1]]}}}}).values()
    assert matrix.remark == ""
    assert re.findall(r"<text[^>]*>([^<]*)</text>", matrix.drawing.body).count("0.500") == 2


def test_the_table_of_the_triangle_names_the_donor_of_every_part(page, arrays):
    rows = re.findall(r"<tr>(.*?)</tr>", section(page, "triangle"))
    assert len(rows) == 11
    for row, donors in zip(rows[1:], arrays["triangle_donors"], strict=True):
        assert re.findall("<td>(.)</td>", row) == ["ABC"[face] for face in donors]
    assert "row 1, picture 1" in rows[1]
    assert "row 4, picture 4" in rows[10]


def test_a_workdir_without_the_newer_arrays_gives_a_page(report, workdir, arrays, metrics):
    new = {
        "random_effect",
        "random_effect_unmatted",
        "triangle",
        "triangle_donors",
        "traversals",
        "traversal_positions",
    }
    np.savez(workdir / "evaluation.npz", **{name: array for name, array in arrays.items() if name not in new})
    del metrics["disentanglement"]["dependence"], metrics["disentanglement"]["slices"]
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    text = report()
    assert set(ALL) - set(titles(text)) == {"Swap triangle", "Traversals", "Dependence"}
    assert not any("random generator" in label for label in drawings(text))
    assert "region effect, this model, with the matte" in drawings(text)


def test_embedded_pictures_are_the_saved_ones(report, workdir):
    text = report()
    embedded = {base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', text)}
    assert embedded == {path.read_bytes() for path in (workdir / "panels").iterdir()}


def test_nothing_is_fetched_from_elsewhere(page):
    parsed = Page(page)
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), f"{tag} has a handler"
        if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert value.startswith(("data:image/png;base64,", "#")), f"{tag} {name}={value[:80]}"
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    assert "http" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_links_of_the_contents_lead_somewhere(page):
    parsed = Page(page)
    anchors = {value for _, name, value in parsed.attributes if name == "id"}
    targets = {value[1:] for tag, name, value in parsed.attributes if tag == "a" and name == "href"}
    assert len(targets) == 14
    assert targets <= anchors


def test_words_from_files_are_words(workdir, metrics):
    segmentation, scores = metrics["segmentation"], metrics["disentanglement"]
    segmentation["per_class"][HOSTILE] = {"f1": 0.5, "iou": HOSTILE, "pixels": [1]}
    metrics["reconstruction"]["inside"][HOSTILE] = {"l1": 0.1}
    scores["leak"][HOSTILE] = 0.5
    scores["dead_slices"] = [HOSTILE, "\ud800"]
    scores["slices"] = [HOSTILE] * 6
    scores["dependence"][HOSTILE] = {HOSTILE: scores["dependence"]["pooled"]["hsic"]}
    metrics["data"]["spec"] = HOSTILE
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    config = {"system": HOSTILE, "label_set": "l2s_regions", "image_size": HOSTILE, HOSTILE: [HOSTILE, "\ud800\0"]}
    (workdir / "config.json").write_text(json.dumps(config))
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 21, f"train/{HOSTILE}": 1.0}) + "\n")
    text = write_report(workdir).read_text()
    page = Page(text)
    assert not {"script", "link"} & set(page.tags)
    assert page.tags.count("img") == 6
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert page.words.count(HOSTILE) >= 5


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        (["metrics.json"], {"Summary", "Classes", "Dependence"}),
        (["metrics.jsonl"], {"Training"}),
        (["evaluation.npz"], {"Masks", "Confusion", "Slices alone", "Swaps", *DECODED}),
        (["config.json"], {"Masks", "Slices alone", "Swaps", "Config", *DECODED}),
        (
            ["metrics.json", "evaluation.npz", "config.json"],
            {
                "Summary", "Masks", "Classes", "Confusion", "Reconstruction", "Slices alone", "Swaps",
                "Region effect", "Dependence", "Config", *DECODED,
            },
        ),
    ],
)  # fmt: skip
def test_missing_parts_are_left_out_and_named(report, workdir, gone, missing):
    for name in gone:
        (workdir / name).unlink()
    text = report()
    assert set(ALL) - set(titles(text)) == missing
    quiet = re.search(r"Left out: ([^(]*) \(", text)[1]
    assert set(quiet.split(", ")) == missing


def test_a_pure_parser_has_no_codec_sections(report, workdir, metrics, arrays):
    pure = {key: metrics[key] for key in ("segmentation", "data")}
    (workdir / "metrics.json").write_text(json.dumps(pure))
    names = ("confusion", "image", "truth", "prediction", "confidence")
    np.savez(workdir / "evaluation.npz", **{name: arrays[name] for name in names})
    assert titles(report()) == ["Summary", "Masks", "Classes", "Confusion", "Training", "Config", "Terms"]


@pytest.mark.parametrize(
    "value", [None, [], "text", 3, {"mean_f1": None, "per_class": None}, {"per_class": {"hair": 3}}]
)
def test_strange_metrics_never_stop_the_report(report, workdir, metrics, value):
    strange = dict.fromkeys(metrics, value) | {"kept": 1}
    (workdir / "metrics.json").write_text(json.dumps(strange))
    assert "Masks" in titles(report())


def test_unnamed_matrices_without_a_config(report, workdir, arrays):
    (workdir / "config.json").unlink()
    written = re.findall(r"<text[^>]*>([^<]*)</text>", report())
    assert {str(i) for i in range(len(arrays["effect"]))} <= set(written)


def test_cut_history_is_mentioned(report, workdir):
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99')
    assert "1 unreadable line of metrics.jsonl left out" in report()


def test_failed_report_leaves_the_old_one(report, workdir):
    old = report()
    (workdir / "evaluation.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"evaluation\.npz"):
        report()
    assert (workdir / "report.html").read_text() == old


def test_unwritable_place_is_one_sentence(report, workdir):
    (workdir / "panels").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="panels"):
        report()


def test_every_colour_of_the_charts_is_one_that_a_dark_page_replaces(page):
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))
    classes = {"#{:02x}{:02x}{:02x}".format(*label.color) for label in L2S_REGIONS.labels}
    assert {PALETTE["ink"], PALETTE["blue"], PALETTE["teal"]} <= used <= {*PALETTE.values(), *classes}
    for name, color in PALETTE.items():
        assert f'svg [style*="fill: {color}"] {{ fill: var(--{name}) !important; }}' in page
        assert f'svg [style*="stroke: {color}"] {{ stroke: var(--{name}) !important; }}' in page


def test_the_same_workdir_gives_the_same_bytes(report, page):
    assert report() == page
