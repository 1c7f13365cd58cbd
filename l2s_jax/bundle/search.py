"""Finding models by name, by folder, or by the workdir that trained them."""

import os
from pathlib import Path

from input_pipeline.errors import UserError, nearest
from l2s_jax.bundle.model import JSON_FILE, TENSOR_FILE

WORKDIR_MODEL = "model"
"""Where a workdir keeps its exported bundle."""

RUNS = Path("runs")
"""Where `l2s train` puts its workdirs."""


def search_path() -> list[Path]:
    """Folders of bundles, first match wins: $L2S_MODELS, ./models, the user's, the installed ones."""
    listed = [Path(p) for p in os.environ.get("L2S_MODELS", "").split(os.pathsep) if p]
    installed = Path(__file__).parent.parent / "models_installed"
    return [*listed, Path("models"), Path.home() / ".local/share/l2s_jax/models", installed]


def find_models() -> dict[Path, str]:
    """Every bundle on the search path and in ./runs, as {folder: the name `resolve` knows it by}."""
    candidates = [(entry, entry.name) for folder in search_path() for entry in _entries(folder)]
    candidates += [(entry / WORKDIR_MODEL, entry.name) for entry in _entries(RUNS)]
    found: dict[Path, str] = {}
    for path, name in candidates:
        if _is_bundle(path) and path.resolve() not in {p.resolve() for p in found}:
            found[path] = name
    return found


def newest() -> Path:
    """The bundle that was written last, for a command that was told none.

    Raises:
      UserError: there is none.
    """
    models = find_models()
    if not models:
        raise UserError("there is no model here yet: `l2s demo` trains one, or pass --model NAME|PATH|WORKDIR")
    return max(models, key=lambda path: (path / JSON_FILE).stat().st_mtime)


def resolve(where: str | os.PathLike) -> Path:
    """The bundle folder that `where` means.

    Args:
      where: a bundle folder (or a file of one), a workdir that holds `model/`, or a name that `l2s models` lists.

    Raises:
      UserError: nothing of the kind; the sentence names the nearest model.
    """
    path = Path(where).expanduser()
    if path.name in (JSON_FILE, TENSOR_FILE) and path.is_file():
        path = path.parent
    for candidate in (path, path / WORKDIR_MODEL):
        if _is_bundle(candidate):
            return candidate
    models = find_models()
    for found, name in models.items():
        if name == str(where):
            return found
    if path.is_dir():
        raise UserError(
            f"'{where}' holds no model: neither {JSON_FILE} nor {WORKDIR_MODEL}/{JSON_FILE}; training exports one"
        )
    if path.exists():
        raise UserError(f"'{where}' is not a model bundle; pass the folder that holds {JSON_FILE}")
    raise UserError(f"no model '{where}': {_way_out(str(where), list(models.values()))}")


def _way_out(name: str, known: list[str]) -> str:
    listed = f"`l2s models` lists the ones there are ({', '.join(known[:5])})"
    return nearest(name, known, listed if known else "there is none here yet, `l2s demo` trains one")


def _entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _is_bundle(path: Path) -> bool:
    return (path / JSON_FILE).is_file()
