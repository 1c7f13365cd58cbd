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
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from input_pipeline import labels, licences
from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE, Label, LabelSet

MAX_BYTES = 65536
"""Maximum size of a labels.json that is read, bytes: 255 classes need about a third of it."""

# Names are printed to terminals and used as keys of tables.
_NAME = re.compile(r"[a-z0-9_]{1,64}")
_ID = re.compile(r"0|[1-9][0-9]{0,2}")


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
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict | list):
        raise UserError(_form(path))
    entries = [_entry(item, path) for item in _items(content["labels"])]
    # The background comes first in every label set.
    entries.sort(key=lambda entry: (entry.name != "background", entry.id))
    ids = tuple(entry.id for entry in entries)
    if len(set(ids)) < len(ids):
        raise UserError(f"'{path}' gives one id twice: ids must differ")
    names, colors = [entry.name for entry in entries], [entry.color for entry in entries]
    label_set = _custom(content.get("name", "custom"), names, colors, str(path))
    return FileLabels(label_set, ids)


def read_licence(path: epath.Path) -> str | None:
    """Read the licence of the data from a `labels.json`, see `licences`; None if it has none.

    Raises:
      UserError: unreadable, too long, not a JSON object, or a licence that is not text.
    """
    content = _parse(path)
    stated = [content[key] for key in ("licence", "license") if isinstance(content, dict) and key in content]
    if not stated:
        return None
    if not isinstance(stated[0], str) or not stated[0].strip():
        raise UserError(f'\'{path}\' has a licence that is no text: write for example "licence": "CC0-1.0"')
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
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        raise UserError(f"'{source_name}' is damaged: its label set is not an object with 'name' and 'classes'")
    name, classes, colors = content.get("name"), content["classes"], content.get("colors")
    if colors is None:
        known = labels.get(name) if isinstance(name, str) else None
        if known is None or tuple(classes) != known.names:
            raise UserError(
                f"'{source_name}' was written for other classes of label set '{str(name)[:64]}'; "
                "prepare it again, or install the l2s_jax that wrote it"
            )
        return known
    if not isinstance(colors, list) or len(colors) != len(classes):
        raise UserError(f"'{source_name}' is damaged: its label set has not one color for each class")
    return _custom(name, classes, colors, source_name)


def _ranges(ids: Sequence[int]) -> str:
    """Format ascending ids as ranges: `0 to 3, 7` for 0, 1, 2, 3, 7."""
    ordered = sorted(ids)
    starts = [i for i in ordered if i - 1 not in ordered]
    ends = [i for i in ordered if i + 1 not in ordered]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


class _Entry(NamedTuple):
    id: int
    name: object
    color: object


def _parse(path: epath.Path) -> object:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise UserError(f"'{path}' is longer than {MAX_BYTES} bytes, which no label map needs: shorten it")
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{_form(path)} ({error})") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key occurs twice")
    return content


def _form(path: epath.Path) -> str:
    return (
        f"'{path}' must be a JSON object {{\"label_set\": NAME}} with NAME one of {', '.join(labels.LABEL_SETS)}, "
        'or {"labels": {"0": "background", "1": "skin", ...}}'
    )


def _items(table: dict | list) -> list:
    if isinstance(table, list):
        return [{"id": number, "name": item} if isinstance(item, str) else item for number, item in enumerate(table)]
    return [{"id": int(key) if _ID.fullmatch(key) else key, "name": name} for key, name in table.items()]


def _entry(item: object, path: epath.Path) -> _Entry:
    if not isinstance(item, Mapping) or not item.keys() <= {"id", "name", "color"}:
        raise UserError(_form(path))
    number = item.get("id")
    if type(number) is not int or not 0 <= number < IGNORE:
        shown = repr(str(number)[:20])
        raise UserError(f"'{path}' gives the id {shown}, but ids go from 0 to {IGNORE - 1} ({IGNORE} = ignore)")
    return _Entry(number, item.get("name"), item.get("color"))


def _custom(name: object, classes: list, colors: list, source: str) -> LabelSet:
    """Return a label set from untrusted names and colours; a missing colour (None) is chosen."""
    for word in (name, *classes):
        if not isinstance(word, str) or not _NAME.fullmatch(word):
            raise UserError(f"'{source}' has the name {str(word)[:64]!r}: write names with a-z, 0-9 and _")
    if not 1 <= len(classes) <= IGNORE or len(set(classes)) < len(classes):
        raise UserError(f"'{source}' must name 1 to {IGNORE} classes, each once")
    if classes[0] != "background":
        raise UserError(f"'{source}' has no class 'background': give that name to what is no part of a face")
    made = LabelSet(name, tuple(_label(k, *pair, source) for k, pair in enumerate(zip(classes, colors, strict=True))))
    known = labels.LABEL_SETS.get(name)
    if known is not None and known.names != made.names:
        raise UserError(f"'{source}' calls its classes '{name}', which is the name of others: choose a name of its own")
    return made if known is None else known


def _label(number: int, name: str, color: object, source: str) -> Label:
    known = _KNOWN.get(name, Label(number, name, name.replace("_", " "), _spread_color(number)))
    if color is None:
        color = list(known.color)
    if not isinstance(color, list) or len(color) != 3 or not all(type(c) is int and 0 <= c <= 255 for c in color):
        raise UserError(f"'{source}' gives '{name}' a color that is not [R, G, B] with values from 0 to 255")
    return dataclasses.replace(known, id=number, color=tuple(color))


def _spread_color(number: int) -> tuple[int, int, int]:
    """Return a colour such that nearby numbers have distant hues: multiples of the golden ratio stay apart."""
    channels = colorsys.hsv_to_rgb(number * 0.6180339887 % 1, 0.65, 0.9)
    return tuple(round(255 * channel) for channel in channels)


_KNOWN: Mapping[str, Label] = {label.name: label for known in labels.LABEL_SETS.values() for label in known.labels}
