import json
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import pytest

from input_pipeline.readers.records import schema


class Leaf(NamedTuple):
    name: Annotated[str, r"[a-z]+"]
    size: int | None


class Tree(NamedTuple):
    leaves: tuple[Leaf, ...]
    span: tuple[int, int]
    weights: Mapping[str, float]


TREE = Tree((Leaf("a", 3), Leaf("b", None)), (1, 2), {"x": 0.5, "": 4})


def test_named_tuples_come_back_from_their_json():
    text = json.dumps(schema.to_json(TREE))
    assert json.loads(text)["leaves"] == [{"name": "a", "size": 3}, {"name": "b", "size": None}]
    assert schema.parse(json.loads(text), Tree) == TREE


def test_fields_that_the_schema_does_not_know_are_ignored():
    assert schema.parse({"name": "a", "size": 1, "later": 2}, Leaf) == Leaf("a", 1)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (-1, int),
        (1 << 53, int),
        (1.0, int),
        (float("nan"), float),
        (False, float),
        ("1", int),
        (1, str),
        ("x" * 4097, str),
        ("A", Annotated[str, r"[a-z]+"]),
        ("a\n", Annotated[str, r"[a-z]+"]),
        ([1], tuple[int, int]),
        ([1, "2"], tuple[int, ...]),
        ({"a": 1}, tuple[int, ...]),
        ([], Mapping[str, int]),
        ({"a": "1"}, Mapping[str, int]),
        ([], Leaf),
        ({"name": "a", "size": []}, Leaf),
        ({}, Leaf),
    ],
)
def test_other_values_are_refused(value, kind):
    with pytest.raises(ValueError, match=r"it holds .* where something else belongs"):
        schema.parse(value, kind)
