"""Change a field of a config by the words `a.b=v`."""

import json
from typing import Any

from ml_collections import ConfigDict

from input_pipeline.errors import UserError, clipped, listed, near, require
from l2s_jax.config.fields import flatten


def override(config: ConfigDict, assignment: str) -> None:
    """Change one field of a config by `a.b=v`, parsed by the type of what it replaces.

    Raises:
      UserError: unknown field, or a value of another type.
    """
    field, equals, text = assignment.partition("=")
    name = clipped(field)
    require(equals, f"override '{name}' must read FIELD=VALUE")
    if field == "system" and text != config.system:
        raise UserError(f"the system of a config is not an option: take a config of {clipped(text)}, see --config NAME")
    flat = flatten(config)
    if field not in flat:
        inside = [name.removeprefix(f"{field}.").partition(".")[0] for name in flat if name.startswith(f"{field}.")]
        if inside:
            fields = listed(f"{field}.{name}" for name in dict.fromkeys(inside))
            raise UserError(f"'{field}' is a group of fields; set one inside: {fields}")
        raise UserError(f"unknown field '{name}'{near(field, flat)}")
    *groups, leaf = field.split(".")
    for group in groups:
        config = config[group]
    with config.ignore_type():  # the type of a list is that of its entries, which the schema checks
        config[leaf] = _parse_value(field, text, flat[field])


def _parse_value(field: str, text: str, default: Any) -> Any:
    """Parse `text` as the type of the default; bool is checked before int because True is an int."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if isinstance(default, str):
            return text
        value = json.loads(text)
        if not isinstance(value, list):
            raise ValueError
    except (KeyError, ValueError, RecursionError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(default), "a list in []")
        raise UserError(f"{field}={clipped(text)} must be {wanted}, like {clipped(json.dumps(default))}") from error
    return tuple(value)
