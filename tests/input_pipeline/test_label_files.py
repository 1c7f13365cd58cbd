import json

import numpy as np
import pytest
from etils import epath

from input_pipeline import label_files, labels
from input_pipeline.errors import UserError

# As older records have it, whose `l_` was the image's left.
OLD_LAPA = ["background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "u_lip", "mouth", "l_lip", "hair"]
CROWNED = {"name": "royal", "labels": {"0": "background", "1": "skin", "7": "crown"}}


@pytest.fixture
def read(tmp_path):
    """Reads a labels.json with a given content (JSON value, or text as it is)."""

    def read(content):
        path = tmp_path / "labels.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="latin-1")
        return label_files.read(epath.Path(path))

    return read


@pytest.mark.parametrize("label_set", labels.LABEL_SETS.values(), ids=lambda label_set: label_set.name)
def test_known_sets(read, label_set):
    assert read({"label_set": label_set.name}) == (label_set, tuple(range(len(label_set))))
    content = label_files.to_json(label_set)
    assert content == {"name": label_set.name, "classes": list(label_set.names)}
    assert label_files.from_json(json.loads(json.dumps(content)), "manifest.json") is label_set


def test_names_we_know_keep_title_and_color(read):
    custom, ids = read(CROWNED)
    assert custom.name == "royal"
    assert custom.names == ("background", "skin", "crown")
    assert ids == (0, 1, 7)
    known = labels.CELEBAMASK.labels[labels.CELEBAMASK["skin"]]
    assert custom.labels[1] == known
    assert [label.id for label in custom.labels] == [0, 1, 2]
    assert len({label.color for label in custom.labels}) == 3


def test_list_with_colors(read):
    entries = [{"id": 9, "name": "crown", "color": [255, 210, 0]}, {"id": 4, "name": "background"}]
    custom, ids = read({"labels": entries})
    assert custom.name == "custom"
    assert ids == (4, 9)
    assert custom.labels[1].color == (255, 210, 0)


def test_list_of_names_counts_from_0(read):
    names = ("background", "skin", "crown")
    assert read({"labels": names}) == read({"labels": {str(k): name for k, name in enumerate(names)}})
    mixed = [*names, {"id": 9, "name": "hair"}]
    assert read({"labels": mixed}).ids == (0, 1, 2, 9)
    with pytest.raises(UserError, match="gives one id twice"):
        read({"labels": [*names, {"id": 2, "name": "hair"}]})
    with pytest.raises(UserError, match="gives the id '255', but ids go from 0 to 254"):
        read({"labels": ["background", *(f"part_{k}" for k in range(255))]})


def test_background_is_class_0_whatever_its_number(read):
    custom, ids = read({"labels": {"0": "skin", "3": "background", "1": "hair"}})
    assert custom.names == ("background", "skin", "hair")
    assert ids == (3, 0, 1)


def test_values_become_ids(read):
    file_labels = read({"labels": {"0": "skin", "3": "background", "254": "hair"}})
    values = np.array([[0, 3, 254, 255]], np.uint8)
    ids = file_labels.to_ids(values, "m.png")
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, [[1, 0, 2, 255]])
    with pytest.raises(UserError, match=r"'m\.png' holds the class id 2, but .* are 0, 3, 254 \(and 255 = ignore\)"):
        file_labels.to_ids(values - 1, "m.png")


def test_custom_set_round_trips_through_json(read):
    custom = read(CROWNED).label_set
    assert label_files.from_json(json.loads(json.dumps(label_files.to_json(custom))), "manifest.json") == custom


def test_custom_set_maps_by_names(read):
    custom = read({"labels": {"0": "background", "1": "hair", "2": "r_eye"}}).label_set
    table = labels.remap(custom, labels.L2S_REGIONS)
    assert [table[k] for k in range(3)] == [0, labels.L2S_REGIONS["hair"], labels.L2S_REGIONS["eyes"]]
    with pytest.raises(UserError, match="'royal' cannot be mapped to 'lapa': 'crown' has no counterpart"):
        labels.remap(read(CROWNED).label_set, labels.LAPA)


def test_255_classes_are_the_most(read):
    most = {str(k): "background" if k == 0 else f"part_{k}" for k in range(255)}
    custom = read({"labels": most}).label_set
    assert len(custom) == 255
    assert len({label.color for label in custom.labels}) > 250
    with pytest.raises(UserError, match="gives the id '255', but ids go from 0 to 254"):
        read({"labels": most | {"255": "void"}})


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '["lapa"]',
        '{"label_set": 3}',
        "[" * 40000,
        "9" * 5000,
        "\xff\xfe",
        '{"labels": 3}',
        '{"labels": [3]}',
        '{"labels": {"0": "background", "0": "skin"}}',
        '{"labels": [{"id": 0, "name": "background", "alias": "bg"}]}',
    ],
)
def test_other_forms(read, content):
    with pytest.raises(UserError, match=r"labels\.json' must be a JSON object"):
        read(content)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"0": "background", "1": "Skin"}, "has the name 'Skin': write names with a-z"),
        ({"0": "background", "1": "../x"}, r"has the name '\.\./x'"),
        ({"0": "background", "1": "\x1b[31m"}, r"has the name '\\x1b\[31m'"),
        ({"0": "background", "1": 5}, "has the name '5'"),
        ({"0": "background", "1": "a" * 65}, "has the name 'aaa"),
        ({"0": "background", "1": ""}, "has the name ''"),
        ({"0": "background", "01": "skin"}, "gives the id '01', but ids go"),
        ({"0": "background", "-1": "skin"}, "gives the id '-1'"),
        ({"0": "background", "256": "skin"}, "gives the id '256'"),
        ({"0": "background", "1": "skin", "2": "skin"}, "must name 1 to 255 classes, each once"),
        ({}, "must name 1 to 255 classes"),
        ([{"id": 0, "name": "background"}, {"id": 0, "name": "skin"}], "gives one id twice"),
        ([{"id": True, "name": "background"}], "gives the id 'True'"),
        ([{"id": 0, "name": "background", "color": [1, 2]}], r"a color that is not \[R, G, B\]"),
        ([{"id": 0, "name": "background", "color": [1, 2, 256]}], r"a color that is not \[R, G, B\]"),
        ({"1": "skin"}, "has no class 'background'"),
    ],
)
def test_wrong_label_maps(read, table, sentence):
    with pytest.raises(UserError, match=rf"labels\.json' .*{sentence}"):
        read({"labels": table})


def test_known_name_for_other_classes(read):
    with pytest.raises(UserError, match="calls its classes 'lapa', which is the name of others"):
        read(CROWNED | {"name": "lapa"})
    with pytest.raises(UserError, match=r"unknown label set 'lappa'.*did you mean 'lapa'"):
        read({"label_set": "lappa"})


def test_long_file(read):
    with pytest.raises(UserError, match="longer than 65536 bytes"):
        read(" " * label_files.MAX_BYTES + "{}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is damaged"),
        ({"name": "lapa"}, "is damaged"),
        ({"name": "lapa", "classes": ["background"]}, "was written for other classes of label set 'lapa'"),
        ({"name": "lapa", "classes": OLD_LAPA}, "was written for other classes of label set 'lapa'; prepare it again"),
        ({"name": "lapa", "classes": ["background", []]}, "was written for other classes"),
        ({"name": 3, "classes": []}, "was written for other classes of label set '3'"),
        ({"name": "royal", "classes": ["background"]}, "unknown label set 'royal'"),
        ({"name": "royal", "classes": ["background"], "colors": []}, "not one color for each class"),
        ({"name": "royal", "classes": [["background"]], "colors": [[0, 0, 0]]}, "has the name"),
        ({"name": "royal", "classes": ["background"], "colors": [["0", 0, 0]]}, "a color that is not"),
        ({"name": [], "classes": ["background"], "colors": [[0, 0, 0]]}, "has the name"),
    ],
)
def test_damaged_json_of_a_manifest(content, sentence):
    with pytest.raises(UserError, match=sentence):
        label_files.from_json(content, "manifest.json")
