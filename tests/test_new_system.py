"""docs/new_system.md as it stands: a sixth system from a folder of its own, through every command."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from input_pipeline.datasets import open_source
from input_pipeline.labels import CELEBAMASK
from l2s_jax import Parser, cli, systems
from tests.helpers.installed import installed

PAGE = (Path(__file__).parents[1] / "docs" / "new_system.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the page's files, installed as a distribution of their own."""
    # What `pip install -e .` makes of the page's pyproject.toml.
    assert 'pixel_parser = "pixel_parser"' in "".join(blocks("toml"))
    modules = {re.match(r"# (\S+)\n", code)[1]: code for code in blocks("python")}
    with installed(tmp_path_factory.mktemp("new_system"), "pixel_parser", modules) as root:
        Image.fromarray(open_source("synthetic:1?test", size=48)[0]["image"]).save(root / "photo.png")
        rng = np.random.default_rng(0)
        shapes = {"hidden.weight": (5, 3), "hidden.bias": (5,), "classes.weight": (19, 5), "classes.bias": (19,)}
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        save_file(weights, root / "weights.safetensors")
        yield root


def test_a_folder_is_a_system_of_all_commands(place, capsys):
    assert "pixel_parser" in systems.names()
    said = {}
    for line in blocks("sh")[0].splitlines():
        words = shlex.split(line)[1:]
        assert cli.main(words) == 0, line
        said[line] = " ".join(capsys.readouterr().out.split())
    names = list(said)
    assert "pixel_parser" in said[names[0]]
    assert json.loads((place / "scores.json").read_text())["model"]["system"] == "pixel_parser"
    assert np.asarray(Image.open(place / "masks" / "photo_labels.png")).shape == (48, 48)
    assert (place / "runs" / "pixels" / "report.html").stat().st_size > 10_000
    assert "CC0-1.0 (trained on CelebAMask-HQ)" in (place / "models" / "published" / "model.json").read_text()
    assert all(name in said[names[-1]] for name in ("pixels", "published", "pixel_parser"))


def test_published_weights_are_those_of_the_file(place):
    """The converted network computes what the tensors say."""
    if not (place / "models" / "published").exists():
        assert cli.main(["convert", "pixel_parser", "weights.safetensors", "--out", "models/published"]) == 0
    parser = Parser.load("models/published")
    image = np.asarray(Image.open(place / "photo.png").resize((32, 32)))
    state = load_file(place / "weights.safetensors")
    hidden = np.maximum((image / 127.5 - 1) @ state["hidden.weight"].T + state["hidden.bias"], 0)
    logits = hidden @ state["classes.weight"].T + state["classes.bias"]
    np.testing.assert_array_equal(parser(image).ids, logits.argmax(-1))


def test_help_and_scores_know_it(place, capsys):
    assert cli.main(["convert", "--help"]) == 0
    assert "pixel_parser 32" in " ".join(capsys.readouterr().out.split())
    assert systems.published_result("pixel_parser", CELEBAMASK, 32, "folder:faces").mean_f1 == 0.6
