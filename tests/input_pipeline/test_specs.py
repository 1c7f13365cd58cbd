import pytest

from input_pipeline.errors import UserError
from input_pipeline.specs import Spec, check_split, parse_mixture, parse_spec, with_split


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("folder:a/b", Spec("folder", "a/b", None, None, None)),
        ("folder:C:\\faces?val", Spec("folder", "C:\\faces", "val", None, None)),
        ("folder:odd?name?train", Spec("folder", "odd?name", "train", None, None)),
        ("synthetic:20?train[3:7]", Spec("synthetic", "20", "train", 3, 7)),
        ("synthetic:20?[:-5]", Spec("synthetic", "20", None, None, -5)),
        ("folder:a/b[0:5]", Spec("folder", "a/b", None, 0, 5)),
        ("folder:gs://bucket/dir[:-5]", Spec("folder", "gs://bucket/dir", None, None, -5)),
        ("folder:what?/dir[2:]", Spec("folder", "what?/dir", None, 2, None)),
        ("tfds:lapa:1.0.0[:3]", Spec("tfds", "lapa:1.0.0", None, None, 3)),
        ("folder:d[1]", Spec("folder", "d[1]", None, None, None)),
        ("folder:a[0:5]/b", Spec("folder", "a[0:5]/b", None, None, None)),
        ("folder:d[1]?split-2.b[:]", Spec("folder", "d[1]", "split-2.b", None, None)),
        ("folder:gs://bucket/dir?train", Spec("folder", "gs://bucket/dir", "train", None, None)),
        ("folder:gs://bucket/dir", Spec("folder", "gs://bucket/dir", None, None, None)),
        ("folder:what?/dir", Spec("folder", "what?/dir", None, None, None)),
        ("folder:what?/dir?val[:2]", Spec("folder", "what?/dir", "val", None, 2)),
        ("celebamask_hq/farl:/data/x y?val", Spec("celebamask_hq/farl", "/data/x y", "val", None, None)),
        ("tfds:gs://b/tfds#lapa:1.0.0?test", Spec("tfds", "gs://b/tfds#lapa:1.0.0", "test", None, None)),
    ],
)
def test_spec(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "folder",
        "folder:",
        ":dir",
        "folder:d?",
        "folder:d?train[3]",
        "folder:d?a b",
        "folder:[0:5]",
        "folder:d[a:b]",
        "folder:d[1:2:3]",
        "synthetic:3?x[1:2:3]",
        f"synthetic:3?[{'9' * 5000}:]",
    ],
)
def test_malformed_spec_shows_the_form(text):
    with pytest.raises(UserError, match=r"write KIND:WHERE\[\?SPLIT\], for example 'folder:faces\?train'"):
        parse_spec(text)


def test_spec_of_one_split():
    assert with_split("folder:d", "val") == "folder:d?val"
    assert with_split("folder:d[0:5]", "val") == with_split("folder:d?[0:5]", "val") == "folder:d?val[0:5]"
    assert with_split("folder:d[:-5]", "val") == "folder:d?val[:-5]"
    assert with_split("folder:d[2:]", "") == "folder:d[2:]"
    assert with_split("folder:d?train", "train") == "folder:d?train"


def test_parts_of_a_mixture():
    text = "0.5*records:a*b?train[:3] +  lapa:x+y + 2 * synthetic:4"
    assert parse_mixture(text) == [(0.5, "records:a*b?train[:3]"), (1.0, "lapa:x+y"), (2.0, "synthetic:4")]


def test_splits_that_are_there_and_not_there():
    check_split("kind", "where", "", [])
    check_split("kind", "where", "train", ["train"])
    with pytest.raises(UserError, match=r"^'where' has no split 'a': name one of train, b, as in 'kind:where\?train'$"):
        check_split("kind", "where", "a", ["train", "b"])
    with pytest.raises(UserError, match=r"^'where' is divided into splits: name one of b, as in 'kind:where\?b'$"):
        check_split("kind", "where", "", ["b"])
    with pytest.raises(UserError, match=r"^'where' is not divided into splits: leave '\?a' out, as in 'kind:where'$"):
        check_split("kind", "where", "a", [])
