"""Parse untrusted JSON to NamedTuples: the annotations of the fields are the schema."""

import re
import types
import typing
from collections.abc import Mapping
from typing import Any

MOST = 1 << 53
"""Numbers go from 0 to below this, the largest integer that every JSON reader knows exactly."""
MOST_CHARACTERS = 4096


def parse(value: object, kind: Any) -> Any:
    """Return a JSON value as the type that an annotation describes.

    Args:
      value: parsed JSON, untrusted.
      kind: int, float, str, `X | None`, a NamedTuple (an object with its fields; others are ignored),
        `Mapping[str, X]` (an object), `tuple[X, ...]` or `tuple[X, Y]` (a list), or `Annotated[str, PATTERN]` with a
        regular expression.

    Raises:
      ValueError: the value has another form; the message is the end of a sentence in brackets.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else parse(value, args[0])
    if origin is typing.Annotated:
        text = parse(value, args[0])
        return text if re.fullmatch(args[1], text, re.ASCII) else _refuse(value)
    if kind is int:
        return value if type(value) is int and 0 <= value < MOST else _refuse(value)
    if kind is float:
        return value if type(value) in (int, float) and 0 <= value < MOST else _refuse(value)
    if kind is str:
        return value if isinstance(value, str) and len(value) <= MOST_CHARACTERS else _refuse(value)
    if origin is tuple and isinstance(value, list) and (args[1] is ... or len(args) == len(value)):
        return tuple(parse(item, args[0] if args[1] is ... else args[k]) for k, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {parse(key, args[0]): parse(item, args[1]) for key, item in value.items()}
    if origin is None and isinstance(value, dict):
        fields = typing.get_type_hints(kind, include_extras=True)
        return kind(**{name: parse(value.get(name), field) for name, field in fields.items()})
    return _refuse(value)


def to_json(value: Any) -> Any:
    """Return nested NamedTuples and mappings as JSON objects; the inverse of `parse`."""
    if hasattr(value, "_asdict"):
        return {name: to_json(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def _refuse(value: object) -> typing.NoReturn:
    raise ValueError(f"it holds {str(value)[:40]!r} where something else belongs")
