"""The scripts of docs/examples run as their readers run them, small."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from tests.helpers import fake_system

FEW = (
    *("data.batch_size=4", "eval.batch_size=4", "train.steps=2", "train.log_every=1"),
    *("data.train=synthetic:8", "data.eval=synthetic:4?val", "data.test=synthetic:4?test"),
)
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture
def folder(tmp_path):
    with fake_system.working_directory(tmp_path):
        yield tmp_path


def run(monkeypatch, name: str, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / name))


def test_parse(folder, monkeypatch, capsys):
    Image.fromarray(open_source("synthetic:1?test", size=96)[0]["image"]).save("photo.jpg")
    run(monkeypatch, "parse.py", "photo.jpg")
    assert "pixels of eyes" in capsys.readouterr().out
    modes = {"parts": "RGB", "cutout": "RGBA", "hair": "L"}
    for name, mode in modes.items():
        picture = Image.open(f"photo.{name}.png")
        assert (picture.mode, picture.size) == (mode, (96, 96))


def test_edit(folder, monkeypatch):
    run(monkeypatch, "edit.py")
    pictures = {path.stem: Image.open(path) for path in folder.glob("*.png")}
    assert pictures.keys() == {"one", "other", "swapped", "halfway"}
    assert len({picture.tobytes() for picture in pictures.values()}) == 4


def test_train(folder, monkeypatch, capsys):
    """With another system in the demo's config: test_end_to_end.py trains that of the demo."""
    Path("demo.json").write_text(fake_system.fake_config("none").to_json())
    monkeypatch.setattr("l2s_jax.config.shipped", lambda: {"demo": Path("demo.json")})
    run(monkeypatch, "train.py", "run", *FEW)
    assert "mean F1 on unseen drawings: 0." in capsys.readouterr().out
    assert (folder / "run" / "report.html").is_file()
