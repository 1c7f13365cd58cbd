"""`l2s export`: a file or a page, one sentence for each mistake, nothing of anybody else replaced."""

import base64
import hashlib
import io
import json
import sys
import tarfile

import pytest

from l2s_jax import cli
from l2s_jax.web import static_page
from tests.helpers import fake_system


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("export")) as root:
        fake_system.save(root / "models" / "tiny")
        yield root


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A package with the names of onnxruntime-web, whose checksum is the expected one."""
    path = tmp_path / "runtime.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*static_page.RUNTIME_FILES, "more.js"):
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(static_page, "INTEGRITY", f"sha512-{digest}")
    return path


def export(capsys, *argv):
    code = cli.main(["export", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_a_file_is_written_and_replaced_and_no_other(capsys, place, tmp_path, form):
    out = tmp_path / "deeper" / f"parser.{form}"
    for _ in range(2):
        code, said, err = export(capsys, "tiny", "--format", form, "--out", out)
        assert (code, err) == (0, "")
        assert said.startswith(f"tiny as {form}: ")
    out.with_name(f"{out.name}.json").unlink(missing_ok=True)
    out.write_text("mine")
    code, _, err = export(capsys, "tiny", "--format", form, "--out", out)
    assert code == 2
    assert "was not written by `l2s export` and is not replaced" in err
    assert out.read_text() == "mine"


def test_a_page_has_all_it_asks_for(capsys, place, tmp_path, runtime):
    out = tmp_path / "page"
    for _ in range(2):
        assert export(capsys, "tiny", "--format", "web", "--out", out, "--runtime", runtime)[0] == 0
    names = {"index.html", "engine.js", "model.json", "parser.onnx", *static_page.RUNTIME_FILES}
    assert {path.name for path in out.iterdir()} == names
    text = (out / "index.html").read_text() + (out / "engine.js").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert json.loads((out / "model.json").read_bytes())["name"] == "tiny"


def test_a_page_does_not_move_in_with_others(capsys, place, tmp_path, runtime):
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = export(capsys, "tiny", "--format", "web", "--out", tmp_path, "--runtime", runtime)
    assert code == 2
    assert "holds something that `l2s export` did not write" in err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("tiny", "--format", "onxx", "--out", "x"), "invalid choice: 'onxx'"),
        (("tyni", "--format", "onnx", "--out", "x"), "did you mean 'tiny'?"),
        (("tiny", "--format", "onnx", "--out", "x", "--by", "light"), "does not segment by 'light'"),
        (("tiny", "--format", "onnx", "--out", "models"), "which is a folder: name a file"),
        (("tiny", "--format", "web", "--out", "x"), "`npm pack onnxruntime-web@"),
        (("tiny", "--format", "web", "--out", "x", "--runtime", "none.tgz"), "'none.tgz' does not exist"),
        (("tiny", "--format", "web", "--out", "x", "--runtime", "models/tiny/model.json"), "whose checksum is known"),
    ],
)
def test_mistakes_are_one_sentence(capsys, place, argv, sentence):
    code, out, err = export(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not (place / "x").exists()


def test_a_model_that_does_not_segment_is_refused(capsys, place, monkeypatch):
    with monkeypatch.context() as patch:
        real = fake_system.System
        patch.setattr(fake_system, "System", lambda **parts: real(**(parts | {"predict": None})))
        code, _, err = export(capsys, "tiny", "--format", "onnx", "--out", "x")
    assert code == 2
    assert "which does not segment faces" in err


def test_a_missing_package_names_the_extra(capsys, place, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("l2s_jax.export.onnx_file")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("l2s_jax.export.onnx_file", raising=False)
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    code, _, err = export(capsys, "tiny", "--format", "onnx", "--out", "x")
    assert code == 2
    assert "ONNX needs the package 'jax2onnx': `pip install 'l2s_jax[export]'` brings it" in err
