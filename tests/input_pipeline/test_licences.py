"""What data may be used for: judged by its words, found at the bottom of every view, kept by records."""

import json

import pytest
from PIL import Image

from input_pipeline import licences
from input_pipeline.audit.sides import FixedSides
from input_pipeline.datasets import open_mixture, open_source
from input_pipeline.errors import UserError
from input_pipeline.images.framing import FramedSource
from input_pipeline.labels import LAPA
from input_pipeline.licences import Strictness, short, strictest, strictness, tidy
from input_pipeline.loading.views import CachedSource, RelabelledSource, RepeatFactorSource, ShrunkSource
from input_pipeline.readers import downloads
from input_pipeline.readers.records.prepare import open_data, prepare
from input_pipeline.selection import Subset
from input_pipeline.types import licence

FACES_FOR_RESEARCH = "LaPa is free for non-commercial purposes."


def write_folder(root, stated=None):
    """Two faces, with a labels.json that says what `stated` says."""
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (root / kind).mkdir(parents=True)
        for name in "ab":
            Image.new(mode, (16, 16)).save(root / kind / f"{name}.png")
    if stated is not None:
        (root / "labels.json").write_text(json.dumps({"label_set": "lapa", **stated}))
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (licences.OURS, Strictness.PERMISSIVE),
        ("mit", Strictness.PERMISSIVE),
        ("Apache-2.0; CC0-1.0", Strictness.PERMISSIVE),
        ("CC-BY-4.0", Strictness.ATTRIBUTION),
        ("Apache-2.0; CC-BY-SA-4.0", Strictness.ATTRIBUTION),
        (licences.UNKNOWN, Strictness.UNKNOWN),
        ("MIT, but ask me first", Strictness.UNKNOWN),
        ("CC-BY-NC-4.0", Strictness.NON_COMMERCIAL),
        ("CC-BY-4.0; CC-BY-NC-SA-4.0", Strictness.NON_COMMERCIAL),
        ("for research only", Strictness.NON_COMMERCIAL),
        ("Noncommercial use.", Strictness.NON_COMMERCIAL),
    ],
)
def test_a_licence_is_judged_by_its_words(text, expected):
    assert strictness(text) is expected


@pytest.mark.parametrize("name", downloads.NAMES)
def test_every_download_is_for_research_but_a_folder_of_ones_own(name):
    layout, _ = downloads.get(name)
    expected = Strictness.UNKNOWN if name == "folder" else Strictness.NON_COMMERCIAL
    assert strictness(layout.licence) is expected


def test_the_strictest_rules_and_equals_stand_together():
    assert strictest(["Apache-2.0", "CC-BY-4.0"]) == "CC-BY-4.0"
    assert strictest(["CC-BY-4.0", licences.UNKNOWN, "MIT"]) == licences.UNKNOWN
    assert strictest([licences.UNKNOWN, FACES_FOR_RESEARCH]) == "LaPa is free for non-commercial purposes"
    both = strictest(["A for research.", FACES_FOR_RESEARCH])
    assert both == "A for research; LaPa is free for non-commercial purposes"
    assert strictest([both, FACES_FOR_RESEARCH, "A for research."]) == both  # a model of both learns from either again
    assert strictest(["MIT", "MIT"]) == "MIT"


def test_texts_of_strangers_become_one_short_line():
    assert tidy(" CC0-1.0\n") == "CC0-1.0"
    assert tidy("a\x1b[31m\nb") == "a[31m b"
    assert tidy(None) == tidy("") == tidy("\x00") == licences.UNKNOWN
    assert len(tidy("x" * 10**6)) == licences.MAX_LENGTH
    assert short("CC0-1.0") == "CC0-1.0"
    assert short("Only for research in universities of the northern half of the world") == "non-commercial"


def test_a_folder_says_it_itself(tmp_path):
    assert licence(open_source(f"folder:{write_folder(tmp_path / 'silent')}")) == licences.UNKNOWN
    for key in ("licence", "license"):
        root = write_folder(tmp_path / key, {key: " CC-BY-4.0 "})
        assert licence(open_source(f"folder:{root}")) == "CC-BY-4.0"
    root = write_folder(tmp_path / "wrong", {"licence": 7})
    with pytest.raises(UserError, match=r'labels.json\' has a licence that is no text: write for example "licence": "'):
        open_source(f"folder:{root}")


def test_a_download_has_that_of_its_layout(tmp_path):
    for folder, mode in (("full", "RGB"), *((name, "RGB") for name in ("hair", "skin", "nose", "eyes", "lips"))):
        (tmp_path / folder).mkdir()
        Image.new(mode, (16, 16), "white" if folder in ("full", "skin") else "black").save(tmp_path / folder / "0.png")
    source = open_source(f"l2s_folders:{tmp_path}")
    assert licence(source) == downloads.get("l2s_folders")[0].licence


def test_records_keep_it(tmp_path):
    root = tmp_path / "raw"
    write_folder(root / "train", {"licence": "CC0-1.0"})
    write_folder(root / "val", {"licence": "CC-BY-NC-4.0"})
    prepare(open_data(str(root), "folder", ["train"]), tmp_path / "train", jobs=1)
    prepare(open_data(str(root), "folder"), tmp_path / "both", jobs=1)
    assert licence(open_source(f"records:{tmp_path / 'train'}?train")) == "CC0-1.0"
    assert licence(open_source(f"records:{tmp_path / 'both'}?train")) == "CC-BY-NC-4.0"


def test_every_view_has_that_of_its_data(tmp_path):
    source = open_source(f"folder:{write_folder(tmp_path, {'licence': 'CC-BY-4.0'})}")
    views = [
        Subset(source, 0, 1),
        RepeatFactorSource(source, 0.5, 0),
        FramedSource(source, "face"),
        RelabelledSource(source, LAPA, ()),
        ShrunkSource(source, 8),
        CachedSource(source, 8, memory_limit=1 << 20),
        FixedSides(source),
    ]
    assert [licence(view) for view in views] == ["CC-BY-4.0"] * len(views)
    assert licence(FixedSides(FramedSource(Subset(source, 0, 1), "face"))) == "CC-BY-4.0"


def test_parts_of_a_mixture_keep_their_own(tmp_path):
    root = write_folder(tmp_path, {"licence": "CC-BY-4.0"})
    parts = open_mixture(f"0.5*synthetic:8?train[0:4] + 0.5*folder:{root}")
    assert [licence(part.source) for part in parts] == ["Apache-2.0", "CC-BY-4.0"]


def test_a_source_that_says_nothing_is_unknown():
    assert licence(type("Bare", (), {})()) == licences.UNKNOWN
