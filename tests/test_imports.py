"""Importing any module of ours changes nothing that other libraries share."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import l2s_jax

# What third parties change when they are imported is not ours to judge, so all that our files name is imported first.
PROGRAM = r"""
import ast, contextlib, importlib.util, json, logging, sys
from pathlib import Path

OURS = ("input_pipeline", "l2s_jax")

def imported(node):
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return []

modules = []
for package in OURS:  # walked as files: pkgutil would import the packages
    folder = Path(importlib.util.find_spec(package).origin).parent
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        for name in {name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)}:
            if name.partition(".")[0] not in OURS:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
assert not set(modules) & set(sys.modules)

import os, random, signal, warnings
import cv2, jax, numpy as np
from PIL import Image, ImageFile

traced = []

@jax.jit
def program(x):
    traced.append(x)
    return x

def state():
    program(0)
    loggers = {name: (x.level, len(x.handlers)) for name, x in logging.root.manager.loggerDict.items()
               if isinstance(x, logging.Logger) and name.partition(".")[0] not in OURS}
    return {
        "OpenCV threads": cv2.getNumThreads(),
        "warning filters": list(map(str, warnings.filters)),
        "environment": dict(os.environ),
        "logging": [logging.root.level, len(logging.root.handlers), logging.root.manager.disable, loggers],
        "jax": dict(jax.config.values),
        "programs of JAX": len(traced),  # it traces and compiles all of them again when its contexts change
        "numpy errors": [np.geterr(), str(np.get_printoptions())],
        "random": [str(random.getstate()), str(np.random.get_state())],
        "Pillow": [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES],
        "signals": {int(s): str(signal.getsignal(s)) for s in signal.valid_signals()},
        "hooks": [str(sys.excepthook), sys.getrecursionlimit(), os.getcwd()],
    }

changed, before = {}, state()
for name in modules:
    importlib.import_module(name)
    after = state()
    changed |= {f"{name}: {key}": str(after[key])[:200] for key in after if after[key] != before[key]}
    before = after
print(json.dumps({"modules": modules, "changed": changed}))
"""


def test_no_import_changes_what_is_shared():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert {"input_pipeline", "input_pipeline.images.decode", "l2s_jax.layers.tanh_warp"} <= set(said["modules"])
    assert said["changed"] == {}


IMPORT = (ast.Import, ast.ImportFrom)
LATE = {
    "input_pipeline/images/heic.py": ["pillow_heif"],  # optional
    "l2s_jax/bundle/provenance.py": ["jax"],  # a description is read without it
    "l2s_jax/systems/__init__.py": ["l2s_jax.layers.remat"],  # the registry is, too
}


def test_imports_stand_at_the_top():
    """But for commands, whose help must not wait for JAX."""
    root, found = Path(l2s_jax.__file__).parents[1], {}
    for path in sorted([*root.glob("l2s_jax/**/*.py"), *root.glob("input_pipeline/**/*.py")]):
        name, tree = path.relative_to(root).as_posix(), ast.parse(path.read_text())
        inside = (node for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer))
        late = {getattr(node, "module", None) or node.names[0].name for node in inside if isinstance(node, IMPORT)}
        if late and not name.startswith("l2s_jax/commands/"):
            found[name] = sorted(late)
    assert found == LATE


def test_the_library_is_there_at_once_and_its_classes_when_asked_for():
    """The command line begins with `import l2s_jax`; JAX alone takes longer than all of its help."""
    code = (
        "import sys, time; began = time.perf_counter(); import l2s_jax; took = time.perf_counter() - began\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules, took\n"
        "from l2s_jax import Editor, Parser, load_model\n"
        "print(Editor.__module__, Parser.__module__, load_model.__module__)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert said == [f"l2s_jax.inference.{name}" for name in ("editor", "parser", "model")]
    with pytest.raises(AttributeError, match="'l2s_jax' has no attribute 'Parsr'"):
        l2s_jax.Parsr  # noqa: B018 - asking is the test
