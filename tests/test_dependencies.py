"""What the packages import is what setup.cfg declares, and the other way round."""

import ast
import configparser
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = {"l2s_jax", "input_pipeline", "configs"}
NEVER_IMPORTED = {
    "gcsfs": "etils opens gs:// through it",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The modules of others that the packages import, wherever they do."""
    nodes = [node for folder in OURS for file in (ROOT / folder).rglob("*.py") for node in ast.walk(parsed(file))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def declared() -> set[str]:
    """The distributions that setup.cfg requires, with the extras that are not for tests."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    extras = [text for extra, text in setup["options.extras_require"].items() if extra != "test"]
    lines = "\n".join([setup["options"]["install_requires"], *extras]).split()
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in lines}


def test_imports_and_requirements_are_the_same():
    homes = metadata.packages_distributions()
    found = {module: {canonical(home) for home in homes.get(module, [module])} for module in imported()}
    undeclared = {module: homes for module, homes in found.items() if not homes & declared()}
    assert undeclared == {}
    assert declared() - set().union(*found.values()) == set(NEVER_IMPORTED)
