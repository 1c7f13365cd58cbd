"""Find models by name, by folder, or by the workdir that trained them."""

import os
import stat
from pathlib import Path

from input_pipeline import files
from input_pipeline.errors import UserError, nearest
from l2s_jax.bundle.model import JSON_FILE, TENSOR_FILE, read_meta

WORKDIR_MODEL = "model"
"""Name of the exported bundle in a workdir."""

RUNS = Path("runs")
"""Default folder of the workdirs of `l2s train`."""

SHIPPED = Path(__file__).parents[1] / "pretrained"
"""Folder of the models that come with the package."""

DEFAULT_PARSER = SHIPPED / "parser-small"
"""The model of `Parser()` and of `l2s parse` without --model."""


FACE_DETECTOR = SHIPPED / "face-detector-small"
"""The model by which parsers find the faces of pictures."""


def search_path() -> list[Path]:
    """List the folders of the user's bundles, first match wins: $L2S_MODELS, ./models, the home folder's."""
    listed = [Path(p) for p in os.environ.get("L2S_MODELS", "").split(os.pathsep) if p]
    home = files.home()
    users = [] if home is None else [home / ".local/share/l2s_jax/models"]
    return [*listed, Path("models"), *users]


def find_models() -> dict[Path, str]:
    """Find every bundle on the search path, in ./runs and in the package, as {folder: the name `resolve` accepts}.

    Folders without read permission are included: reading them reports the reason.
    """
    candidates = [(entry, entry.name) for folder in search_path() for entry in _entries(folder)]
    candidates += [(entry / WORKDIR_MODEL, entry.name) for entry in _entries(RUNS)]
    candidates += [(entry, entry.name) for entry in _entries(SHIPPED)]
    found: dict[str, tuple[Path, str]] = {}
    for path, name in candidates:
        if _is_bundle(path):
            found.setdefault(os.path.realpath(path), (path, name))
    return dict(found.values())


def newest() -> Path:
    """Return the most recently written readable bundle, the default of `l2s edit` without --model.

    Shipped models do not count: they were trained on drawings, and what edits by default must not fool anybody.

    Raises:
      UserError: there is none.
    """
    shipped = os.path.realpath(SHIPPED)
    own = [path for path in find_models() if os.path.realpath(path.parent) != shipped]
    models = {written: path for path in own if (written := _written(path)) is not None}
    if not models:
        raise UserError("there is no model here yet: `l2s demo` trains one, or pass --model NAME|PATH|WORKDIR")
    return models[max(models)]


def resolve(where: str | os.PathLike) -> Path:
    """Find the bundle folder that `where` refers to.

    Args:
      where: a bundle folder (or a file of one), a workdir that holds `model/`, or a name that `l2s models` lists.

    Raises:
      UserError: there is none; the message names the nearest model.
    """
    path = files.local(Path(os.path.expanduser(where)))
    if path.name in (JSON_FILE, TENSOR_FILE) and os.path.isfile(path):
        path = path.parent
    for candidate in (path, path / WORKDIR_MODEL):
        if _is_bundle(candidate):
            return candidate
    models = find_models()
    for found, name in models.items():
        if name == str(where):
            return found
    fault = f"no model '{where}': {_way_out(str(where), list(models.values()))}"
    if os.path.isdir(path):
        fault = f"'{where}' holds no model: neither {JSON_FILE} nor {WORKDIR_MODEL}/{JSON_FILE}; training exports one"
    elif os.path.exists(path):
        fault = f"'{where}' is not a model bundle; pass the folder that holds {JSON_FILE}"
    raise UserError(fault)


def _way_out(name: str, known: list[str]) -> str:
    listed = f"`l2s models` lists the ones there are ({', '.join(known[:5])})"
    return nearest(name, known, listed if known else "there is none here yet, `l2s demo` trains one")


def _entries(folder: Path) -> list[Path]:
    """List a folder's entries; the folder itself, as an unreadable bundle, if it may not be listed."""
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except PermissionError:
        return [folder]
    except OSError:
        return []


def _is_bundle(path: Path) -> bool:
    """Tell whether a folder holds a bundle; True as well without permission to check."""
    try:
        return stat.S_ISREG(os.stat(path / JSON_FILE).st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _written(path: Path) -> float | None:
    """Return when a bundle was written, in seconds since 1970; None for one that cannot be used."""
    try:
        read_meta(path)
        return os.stat(path / JSON_FILE).st_mtime
    except (UserError, OSError):
        return None
