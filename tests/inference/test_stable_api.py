"""Code that people have copied goes on running: the README's block, as it stands and as it stood in version 0.1."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2s_jax import bundle
from tests.helpers import fake_system

ROOT = Path(__file__).parents[2]
FIRST = (ROOT / "tests" / "data" / "readme_block.txt").read_text("utf-8")
NOW = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the photos and the models that the block names (a folder here goes before a name)."""
    with fake_system.working_directory(tmp_path_factory.mktemp("readme")) as root:
        for model in ("runs/demo/model", "l2s-synthetic"):
            fake_system.save(root / model, codec="styled")
        for name, height in (("photo.jpg", 48), ("a.jpg", 16), ("b.jpg", 32)):
            Image.fromarray(fake_system.painted(height, 40)[0]).save(root / name)
        yield root


@pytest.mark.parametrize("code", sorted({FIRST, NOW}), ids=len)
def test_the_block_runs(place, code, monkeypatch):
    monkeypatch.setattr(bundle, "DEFAULT_PARSER", place / "runs" / "demo" / "model")
    names = {}
    exec(code, names)
    parsing, editor = names["parsing"], names["editor"]
    assert parsing.ids.shape == parsing.mask("hair").shape == (48, 40)
    assert parsing.areas()["hair"] == pytest.approx(0.375, abs=0.03)
    (swapped,) = editor.render(editor.swap(names["a"], names["b"], regions=["eyes"]))
    assert (swapped.shape, swapped.dtype) == ((16, 16, 3), np.uint8)
