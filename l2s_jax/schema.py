"""Validation of config fields: plain values are checked against a default config, which is their schema.

A system declares the allowed values of its fields; what fields must fulfil together, it checks with `errors.require`.

Config files, command lines, saved runs and model descriptions are untrusted input. A config that has passed here has
all fields of its schema and no others, each of the type of its default and within its range.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from input_pipeline.errors import UserError, clipped, nearest, require

MOST = 2**31 - 1
"""Largest integer: counts and sizes are int32 when stored in arrays."""
MOST_ENTRIES = 64
MOST_CHARACTERS = 1024
DEEPEST = 8
"""Largest nesting depth of groups and lists."""


class Range(NamedTuple):
    """The allowed values of a number, both ends included.

    For entries of a list whose default is empty, the bounds also give the type: integers for integer bounds.
    """

    least: float
    most: float


class OneOf(NamedTuple):
    """The allowed values of a text."""

    words: tuple[str, ...]


Ranges = Mapping[str, Range | OneOf | type[str]]
"""Allowed values by dotted name (`str` for a list of texts); a group's range applies to its numbers without one."""

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list"}


def within(prefix: str, ranges: Ranges) -> dict[str, Range]:
    """Return the ranges of a group's fields by their names in the full config."""
    return {f"{prefix}.{name}": allowed for name, allowed in ranges.items()}


def limits(field: str, ranges: Ranges) -> Range | OneOf | type[str] | None:
    """Return the allowed values of a field or of the nearest enclosing group; None if there are none."""
    while field and field not in ranges:
        field = field.rpartition(".")[0]
    return ranges.get(field)


def conform(content: Mapping[str, Any], like: ConfigDict, ranges: Ranges, *, extra: bool = False) -> ConfigDict:
    """Return the locked config made of plain values; missing fields get their defaults, lists become tuples.

    Args:
      content: nested mappings, lists and scalars.
      like: the default config, with every field.
      ranges: allowed ranges of numbers and of list entries.
      extra: accept unknown fields at the top level unchanged, for configs whose system is not registered.

    Raises:
      UserError: a field is unknown, of the wrong type or out of range; names the first such field.
    """
    strangers = {}
    if extra:
        strangers = _plain("", {name: value for name, value in content.items() if name not in like}, DEEPEST)
        content = {name: value for name, value in content.items() if name in like}
    return ConfigDict(_group("", content, like, ranges) | strangers).lock()


def check(config: ConfigDict, ranges: Ranges) -> None:
    """Check that the fields of a config have allowed values, whatever its origin.

    Raises:
      UserError: a field has a value out of its range; names the first such field.
    """
    _check_values("", config, ranges)


def _check_values(prefix: str, group: ConfigDict, ranges: Ranges) -> None:
    for name, value in group.items():
        if isinstance(value, ConfigDict):
            _check_values(f"{prefix}{name}.", value, ranges)
        elif limits(f"{prefix}{name}", ranges) is not None:
            _leaf(f"{prefix}{name}", value, value, ranges)


def _check_name(name: object) -> None:
    """Raise UserError if a config cannot have a field of this name."""
    allowed = isinstance(name, str) and name.isidentifier() and name[0] != "_" and not hasattr(ConfigDict, name)
    require(allowed, f"'{clipped(name)}' cannot be the name of a field")


def _group(prefix: str, content: Any, like: ConfigDict, ranges: Ranges) -> dict[str, Any]:
    require(isinstance(content, Mapping), f"{prefix[:-1]}={_shown(content)} must be a group of fields")
    stranger = next((name for name in content if name not in like), None)
    if stranger is not None:
        hint = nearest(str(stranger)[:80], [*like], "", cutoff=0.6)
        raise UserError(f"unknown field '{prefix}{clipped(stranger)}'" + (f" ({hint})" if hint else ""))
    values = {}
    for name, default in like.items():
        if isinstance(default, ConfigDict):
            values[name] = _group(f"{prefix}{name}.", content.get(name, {}), default, ranges)
        else:
            values[name] = _leaf(f"{prefix}{name}", content[name], default, ranges) if name in content else default
    return values


def _leaf(field: str, value: Any, default: Any, ranges: Ranges) -> Any:
    allowed = limits(field, ranges)
    if not isinstance(default, tuple):
        return _scalar(field, value, type(default), allowed)
    require(isinstance(value, list | tuple), f"{field}={_shown(value)} must be a list")
    require(len(value) <= MOST_ENTRIES, f"{field} has {len(value)} entries: at most {MOST_ENTRIES} make sense")
    if default:
        return tuple(_scalar(field, entry, type(default[0]), allowed) for entry in value)
    if allowed is not None:
        kind = str if allowed is str else type(allowed.least)
        return tuple(_scalar(field, entry, kind, allowed) for entry in value)
    return _plain(field, value, DEEPEST)  # the system that reads the field checks its structure


def _scalar(field: str, value: Any, kind: type, allowed: Range | None) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = whole or isinstance(value, float) if kind is float else whole if kind is int else isinstance(value, kind)
    shown = _shown(value)
    require(fits, f"{field}={shown} must be {_WORDS[kind]}")
    if kind is str:
        require(len(value) <= MOST_CHARACTERS, f"{field}={shown} is longer than {MOST_CHARACTERS} characters")
    if isinstance(allowed, OneOf):
        require(value in allowed.words, f"{field}='{shown}' must be one of: {', '.join(allowed.words)}")
    if kind in (int, float):
        least, most = allowed or Range(-MOST, MOST)
        require(value >= least, f"{field}={shown} must be at least {least}")
        require(value <= most, f"{field}={shown} must be at most {most}")
    return float(value) if kind is float else value


def _plain(field: str, value: Any, levels: int) -> Any:
    """Validate a value that has no schema: nested mappings, lists and scalars, at most `levels` levels deep."""
    require(levels, f"{field.strip('.')} is nested too deeply")
    if isinstance(value, Mapping):
        for name in value:
            _check_name(name)
        return {name: _plain(f"{field}.{name}", item, levels - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(field, item, levels - 1) for item in value)
    plain = value is None or isinstance(value, bool | int | float | str)
    require(plain, f"{field}={_shown(value)} must be a number, a text, true, false, or a list of those")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{...}"
    return clipped(value[:MOST_ENTRIES] if isinstance(value, list | tuple) else value)
