"""The files of experiments: find one by its name, run it."""

import ast
import importlib.util
import os
import re
import traceback
from pathlib import Path

from ml_collections import ConfigDict

from input_pipeline.errors import UserError, clipped, listed, near, require


def find(name_or_path: str | Path) -> Path:
    """Find the file of an experiment: a path, or a bare name in ./configs or among the shipped ones.

    Raises:
      UserError: there is none; the message suggests the closest name and lists all.
    """
    word = str(name_or_path)
    if word.endswith((".py", ".json")) or os.sep in word:
        path = Path(word)
        require(path.is_file(), f"config file {clipped(path, 200)} does not exist")
        return path
    known = names()
    if word not in known:
        raise UserError(f"unknown config '{clipped(word)}'{near(word, known)}; there are: {listed(known)}")
    return known[word]


def names() -> dict[str, Path]:
    """Return all experiments that can be given by bare name, with their files; ./configs takes precedence."""
    return dict(sorted((shipped() | _local()).items()))


def shipped() -> dict[str, Path]:
    """Return the experiments that come with the package, by name.

    In a checkout their folder, configs/, is beside l2s_jax/ and not inside it.
    """
    here = Path(__file__).resolve().parents[1]
    folder = here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
    return {file.stem: file for file in folder.glob("*.py")}


def shipped_file(name: str) -> Path:
    """Return the file of a shipped experiment, even if ./configs has a file of the same name.

    Raises:
      UserError: there is none, which means that the installation is incomplete.
    """
    known = shipped()
    require(name in known, f"the config '{name}' is missing from this installation of l2s_jax; install it again")
    return known[name]


def is_local(name: str) -> bool:
    """Return whether a bare name refers to a file in ./configs and not to a shipped one."""
    own, known = _local().get(name), shipped().get(name)
    return own is not None and not (known is not None and own.samefile(known))


def _local() -> dict[str, Path]:
    """Return the experiments in ./configs; the folder may be another project's and contain other modules."""
    return {file.stem: file for file in Path("configs").glob("*.py") if _is_experiment(file)}


def _is_experiment(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            return re.search(rb"^def get_config\(", stream.read(2**20), re.MULTILINE) is not None
    except OSError:
        return False


def run(path: Path) -> ConfigDict:
    """Execute a config file and call its `get_config()`.

    Raises:
      UserError: the file cannot be read or run, or returns something else; names the line.
    """
    _check_syntax(path)
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        require(hasattr(module, "get_config"), f"config file {path} has no function get_config()")
        config = module.get_config()
    except UserError:
        raise
    except Exception as error:  # a locked ConfigDict rejected a name or a type, or any other error in the file
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == module.__file__
        ]
        line = f", line {lines[-1]}" if lines else ""
        raise UserError(f"config file {path}{line}: {clipped(_refusal(error), 300)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"config file {path}: get_config() must return a ConfigDict, not {type(config).__name__}")
    return config.copy_and_resolve_references()


def _refusal(error: Exception) -> str:
    """Return a ConfigDict error's message in one line, without its dump of all fields; others with their type."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    text = str(error.args[0]) if error.args else ""
    words = " ".join(re.sub(r'Other fields present: "\{.*?\}"', "", text, flags=re.DOTALL).split())
    return words if isinstance(error, AttributeError | KeyError | TypeError) else f"{type(error).__name__}: {words}"


def _check_syntax(path: Path) -> None:
    try:
        ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"config file {path}{line}: {getattr(error, 'msg', error)}") from error
    except OSError as error:
        raise UserError(f"cannot read config file {path} ({error.strerror})") from error
