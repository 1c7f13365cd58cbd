"""Label sets as JSON: `labels.json` beside masks, and the label set in manifests of records.

`labels.json` holds a known label set `{"label_set": "lapa"}`, or names for the ids in the masks; a list counts from 0:

    {"labels": ["background", "skin", "nose", "r_eye", "l_eye", "r_brow", "l_brow", "mouth", "u_lip", "l_lip", "hair"]}
    {"name": "toys", "labels": {"0": "background", "1": "skin", "7": "crown"}}
    {"name": "toys", "labels": [{"id": 0, "name": "background"}, {"id": 7, "name": "crown", "color": [255, 210, 0]}]}

Any of them may also say what the data may be used for, `"licence": "CC0-1.0"` (or `"license"`).

Names that `labels` knows keep their meaning, titles and colours; others are new classes.
"""

import colorsys
import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from input_pipeline import files, labels, licences
from input_pipeline.errors import UserError, clipped, require
from input_pipeline.labels import IGNORE, Label, LabelSet

MAX_BYTES = 65536
"""Maximum size of a labels.json that is read, bytes: 255 classes need about a third of it."""

# Names are printed to terminals and used as keys of tables.
_NAME = re.compile(r"[a-z0-9_]{1,64}")
_ID = re.compile(r"0|[1-9][0-9]{0,2}")
_FORM = (
    f'must be a JSON object {{"label_set": NAME}} with NAME one of {", ".join(labels.LABEL_SETS)}, or '
    '{"labels": {"0": "background", "1": "skin", ...}}'
)


class FileLabels(NamedTuple):
    """The meaning of the values in mask files.

    Attributes:
      label_set: the classes, ids 0..K-1, the background first.
      ids: the value of each class in the files, in the order of `label_set`.
    """

    label_set: LabelSet
    ids: tuple[int, ...]

    def to_ids(self, values: np.ndarray, name: str) -> np.ndarray:
        """Return uint8 ids of `label_set` for the uint8 `values` of the mask file `name`; 255 stays 255.

        Raises:
          UserError: a value that is not a class.
        """
        table = np.full(256, IGNORE, np.uint8)
        table[list(self.ids)] = np.arange(len(self.ids), dtype=np.uint8)
        mask = table[values]
        unknown = (mask == IGNORE) & (values != IGNORE)
        if unknown.any():
            raise UserError(
                f"'{name}' holds the class id {values[unknown].min()}, but the ids of label set "
                f"'{self.label_set.name}' are {_ranges(self.ids)} (and {IGNORE} = ignore): correct the mask or name "
                'its label set in labels.json, {"label_set": NAME}'
            )
        return mask


def of_known(label_set: LabelSet) -> FileLabels:
    """Return the labels of files whose values are the ids of `label_set`."""
    return FileLabels(label_set, tuple(range(len(label_set))))


def read(path: epath.Path) -> FileLabels:
    """Read a `labels.json`, in the format above.

    Raises:
      UserError: unreadable, too long, or malformed; an unknown label set; a duplicate id or name.
    """
    content = _parse(path)
    if isinstance(content, dict) and isinstance(content.get("label_set"), str):
        return of_known(labels.get(content["label_set"]))
    items = _items(content.get("labels")) if isinstance(content, dict) else [None]
    for fault in _item_faults(items):
        raise UserError(f"'{path}' {fault}")
    # The background comes first in every label set.
    items.sort(key=lambda item: (item.get("name") != "background", item["id"]))
    names, colors = ([item.get(key) for item in items] for key in ("name", "color"))
    label_set = _custom(content.get("name", "custom"), names, colors, str(path))
    return FileLabels(label_set, tuple(item["id"] for item in items))


def read_licence(path: epath.Path) -> str | None:
    """Read the licence of the data from a `labels.json`, see `licences`; None if it has none.

    Raises:
      UserError: unreadable, too long, not a JSON object, or a licence that is not text.
    """
    content = _parse(path)
    stated = [content[key] for key in ("licence", "license") if isinstance(content, dict) and key in content]
    if not stated:
        return None
    fits = isinstance(stated[0], str) and stated[0].strip()
    require(fits, f'\'{path}\' has a licence that is no text: write for example "licence": "CC0-1.0"')
    return licences.tidy(stated[0])


def to_json(label_set: LabelSet) -> dict:
    """Return the JSON object of a label set: name and classes of a known one, also the colours of any other."""
    content = {"name": label_set.name, "classes": list(label_set.names)}
    if labels.LABEL_SETS.get(label_set.name) != label_set:
        content["colors"] = [list(label.color) for label in label_set.labels]
    return content


def from_json(content: object, source_name: str) -> LabelSet:
    """Return the label set of a JSON object, checked; the inverse of `to_json`.

    Args:
      content: parsed JSON, untrusted.
      source_name: the file, for error messages.

    Raises:
      UserError: malformed, or a known name whose classes differ from ours.
    """
    content = content if isinstance(content, dict) else {}
    name, classes, colors = content.get("name"), content.get("classes"), content.get("colors")
    fits = isinstance(classes, list) and (colors is None or _is_list(colors, len(classes)))
    require(fits, f"'{source_name}' is damaged: its label set has no 'classes', or not one color for each class")
    if colors is not None:
        return _custom(name, classes, colors, source_name)
    known = labels.get(name) if isinstance(name, str) else None
    require(
        known is not None and tuple(classes) == known.names,
        f"'{source_name}' was written for other classes of label set '{clipped(name)}'; prepare it again, or "
        "install the l2s_jax that wrote it",
    )
    return known


def _ranges(ids: Sequence[int]) -> str:
    """Format ascending ids as ranges: `0 to 3, 7` for 0, 1, 2, 3, 7."""
    ordered = sorted(ids)
    starts = [i for i in ordered if i - 1 not in ordered]
    ends = [i for i in ordered if i + 1 not in ordered]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def _parse(path: epath.Path) -> object:
    text = files.read_limited(path, MAX_BYTES, "label map")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{path}' {_FORM} ({error})") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key occurs twice")
    return content


def _items(table: object) -> list:
    """Return the classes in either form as a list of objects; what has another form stays."""
    if isinstance(table, list):
        return [{"id": number, "name": item} if isinstance(item, str) else item for number, item in enumerate(table)]
    if isinstance(table, dict):
        return [{"id": int(key) if _ID.fullmatch(key) else key, "name": name} for key, name in table.items()]
    return [table]


def _custom(name: object, classes: Sequence[object], colors: Sequence[object], source: str) -> LabelSet:
    """Return a label set from untrusted names and colours; a missing colour (None) is chosen."""
    for fault in _faults(name, classes, colors):
        raise UserError(f"'{source}' {fault}")
    return labels.LABEL_SETS.get(name) or LabelSet(name, tuple(map(_label, itertools.count(), classes, colors)))


def _item_faults(items: Sequence[object]) -> Iterator[str]:
    """Yield what is wrong with the form or the ids of a label map, as ends of the sentence "FILE ..."."""
    if not all(isinstance(item, Mapping) and item.keys() <= {"id", "name", "color"} for item in items):
        yield _FORM
    ids = [item.get("id") for item in items]
    for number in ids:
        if type(number) is not int or not 0 <= number < IGNORE:
            yield f"gives the id {clipped(number)!r}, but ids go from 0 to {IGNORE - 1} ({IGNORE} = ignore)"
    if len(set(ids)) < len(ids):
        yield "gives one id twice: ids must differ"


def _faults(name: object, classes: Sequence[object], colors: Sequence[object]) -> Iterator[str]:
    """Yield what is wrong with names and colours, as ends of the sentence "FILE ..."; each may rely on those before."""
    for word in (name, *classes):
        if not isinstance(word, str) or not _NAME.fullmatch(word):
            yield f"has the name {clipped(word)!r}: write names with a-z, 0-9 and _"
    if not 1 <= len(classes) <= IGNORE or len(set(classes)) < len(classes):
        yield f"must name 1 to {IGNORE} classes, each once"
    if classes[0] != "background":
        yield "has no class 'background': give that name to what is no part of a face"
    if name in labels.LABEL_SETS and labels.LABEL_SETS[name].names != tuple(classes):
        yield f"calls its classes '{name}', which is the name of others: choose a name of its own"
    for part, color in zip(classes, colors, strict=True):
        if color is not None and not (_is_list(color, 3) and all(map(_is_level, color))):
            yield f"gives '{part}' a color that is not [R, G, B] with values from 0 to 255"


def _is_list(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_level(value: object) -> bool:
    return type(value) is int and 0 <= value <= 255


def _label(number: int, name: str, color: Sequence[int] | None) -> Label:
    known = _KNOWN.get(name, Label(number, name, name.replace("_", " "), _spread_color(number)))
    return dataclasses.replace(known, id=number, color=tuple(color or known.color))


def _spread_color(number: int) -> tuple[int, int, int]:
    """Return a colour such that nearby numbers have distant hues: multiples of the golden ratio stay apart."""
    channels = colorsys.hsv_to_rgb(number * 0.6180339887 % 1, 0.65, 0.9)
    return tuple(round(255 * channel) for channel in channels)


_KNOWN: Mapping[str, Label] = {label.name: label for known in labels.LABEL_SETS.values() for label in known.labels}
