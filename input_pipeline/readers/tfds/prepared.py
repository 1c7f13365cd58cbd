"""Lookup of data that tensorflow-datasets prepared: from `[DIR#]NAME[/CONFIG][:VERSION]` to a read-only builder.

DIR is the folder that TFDS calls data_dir; the default is $TFDS_DATA_DIR, then ~/tensorflow_datasets. Only the files
are read: the code that made the data set is never run, nothing is downloaded, and TensorFlow is not imported.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from google.protobuf.json_format import ParseError

from input_pipeline.errors import UserError

_NAME = re.compile(r"(?P<name>[A-Za-z]\w*)(/(?P<config>[\w.+-]*\w))?(:(?P<version>\d+\.\d+\.\d+))?")
_MAX_FEATURES_BYTES = 1 << 20


def splits(where: str) -> tuple[str, ...]:
    """Return the names of the splits of `[DIR#]NAME[/CONFIG][:VERSION]`.

    Raises:
      UserError: as `builder`.
    """
    return tuple(builder(where).info.splits)


def builder(where: str) -> tfds.core.DatasetBuilder:
    """Return the read-only builder of prepared data; the newest version if none is named.

    Raises:
      UserError: not prepared, a config or version that does not exist, or damaged files.
    """
    directory = _version_directory(where)
    try:
        _check_classes(directory / "features.json")
        found = tfds.builder_from_directory(directory)
        _ = found.info.metadata  # read now: TFDS would read the file at the first access, and fail there
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ParseError) as error:
        raise UserError(f"'{directory}' is not a whole TFDS data set ({error}): build it anew") from error
    return found


def _version_directory(where: str) -> epath.Path:
    """Return the folder DIR/NAME[/CONFIG]/VERSION; TFDS' own search would run builder code to find a config."""
    data_dir, _, text = where.rpartition("#")
    match = _NAME.fullmatch(text)
    if match is None:
        raise UserError(f"'{text}' does not name a TFDS data set: write tfds:[DIR#]NAME[/CONFIG][:VERSION][?SPLIT]")
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    home = epath.Path(data_dir).expanduser() / match["name"]
    parent = home / match["config"] if match["config"] else home
    versions = _versions(parent)
    if match["version"] in versions or (match["version"] is None and versions):
        return parent / (match["version"] or versions[-1])
    if versions:
        raise UserError(f"'{parent}' has no version {match['version']}: it has {', '.join(versions)}")
    configs = [name for name in _folders(home) if _versions(home / name)]
    if configs:
        raise UserError(
            f"'{home}' is divided into configs, name one of {', '.join(configs)}, as in '{home.name}/{configs[0]}'"
        )
    raise UserError(
        f"the TFDS data set '{text}' is not prepared in '{data_dir}': build it there with "
        f"`python -m input_pipeline.readers.tfds.builders`, or name its folder, as in 'tfds:DIR#{text}'"
    )


def _versions(directory: epath.Path) -> list[str]:
    """Return the versions prepared in a folder, the newest last."""
    found = map(tfds.core.Version, filter(tfds.core.Version.is_valid, _folders(directory)))
    return [str(version) for version in sorted(found)]


def _folders(directory: epath.Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []
    except ImportError as error:
        raise UserError(
            f"'{directory}' cannot be reached ({error}): install the package that reads such paths"
        ) from error
    except OSError as error:
        raise UserError(f"'{directory}' cannot be read ({error.strerror or error}): check its rights") from error


def _check_classes(path: epath.Path) -> None:
    """Raise ValueError if a feature is not TFDS' own: TFDS would import whatever module the file names."""
    with path.open("rb") as file:
        text = file.read(_MAX_FEATURES_BYTES + 1)
    if len(text) > _MAX_FEATURES_BYTES:
        raise ValueError("features.json is longer than 1 MiB")
    for name in _class_names(json.loads(text)):
        if not str(name).startswith("tensorflow_datasets."):
            raise ValueError(f"features.json asks for the foreign class {name}")


def _class_names(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("pythonClassName", "python_class_name", "type") if key in value)
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _class_names(item)
