import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from input_pipeline import datasets
from l2s_jax import cli


def write_faces(root, names):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        Image.fromarray(rng.integers(0, 256, (20, 16, 3), np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 19, (20, 16), np.uint8)).save(root / "masks" / f"{name}.png")


@pytest.fixture
def faces(tmp_path):
    write_faces(tmp_path / "faces" / "train", [f"face{k}" for k in range(12)])
    write_faces(tmp_path / "faces" / "val", ["face0"])
    return tmp_path / "faces"


def prepare(capsys, faces, *options):
    argv = ["data", "prepare", faces, "--layout", "folder", "--out", faces.parent / "out", "--jobs", 1, *options]
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_records_are_written_and_what_comes_next_is_said(capsys, faces):
    code, out, err = prepare(capsys, faces)
    assert (code, err) == (0, "")
    assert ["train", "12", "12", "0", "1"] in [line.split()[:-1] for line in out.splitlines()]
    assert ["val", "1", "1", "0", "1"] in [line.split()[:-1] for line in out.splitlines()]
    spec = f"records:{faces.parent / 'out'}?train"
    assert out.splitlines()[-1] == f"next: l2s data show '{spec}' --out faces.png"
    assert len(datasets.open_source(spec)) == 12


def test_one_split_at_another_size_in_two_processes(capsys, faces):
    code, out, _ = prepare(capsys, faces, "--splits", "train", "--size", 10, "--jobs", 2, "--shard-mb", 1)
    assert code == 0
    assert "?train'" in out
    source = datasets.open_source(f"records:{faces.parent / 'out'}?train")
    assert source[11]["image"].shape == (10, 8, 3)
    code, _, err = prepare(capsys, faces, "--splits", "train", "--size", 12, "--shard-mb", 1)
    assert (code, err.count("\n")) == (2, 1)
    assert "begun with --size 10, not 12" in err


def test_splits_may_have_blanks_after_their_commas(capsys, faces):
    code, out, _ = prepare(capsys, faces, "--splits", "val, train")
    assert code == 0
    assert {"train", "val"} <= {line.split()[0] for line in out.splitlines()}


def test_broken_faces_are_listed_then_left_out(capsys, faces):
    for k in range(11):
        content = (faces / "train" / "images" / f"face{k}.png").read_bytes()
        (faces / "train" / "images" / f"face{k}.png").write_bytes(content[: 300 + k])
    (faces / "train" / "masks" / "face11.png").unlink()
    code, out, err = prepare(capsys, faces)
    assert code == 2
    assert out == ""
    lines = err.splitlines()
    assert "Traceback" not in err
    assert lines[1].split()[:2] == ["train", "face11"]
    assert sum(line.startswith("train") for line in lines) == 10
    assert "... and 2 more" in lines
    assert any(line.split()[:3] == ["11", "is", "damaged"] for line in lines)
    assert lines[-1].startswith("l2s: 12 faces cannot be stored, see '")
    assert "broken.jsonl'; no manifest was written: fix them" in lines[-1]
    assert len((faces.parent / "out" / "broken.jsonl").read_text().splitlines()) == 12
    code, _, err = prepare(capsys, faces, "--skip-broken")
    assert code == 2
    assert "no face of split 'train' can be stored" in err
    write_faces(faces / "train", [f"face{k}" for k in range(10)])
    code, out, err = prepare(capsys, faces, "--skip-broken")
    assert code == 0
    assert ["train", "0"] not in [line.split()[:2] for line in out.splitlines()]


def test_control_characters_do_not_reach_the_terminal(capsys, faces):
    (faces / "train" / "images" / "\x1b[2Jx.png").write_bytes(b"")
    code, out, err = prepare(capsys, faces)
    assert code == 2
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nowhere", "--layout", "folder"], "the folder 'nowhere' does not exist"),
        (["faces", "--layout", "foldr"], "unknown layout 'foldr' (did you mean 'folder'?)"),
        (["faces", "--layout", "folder", "--splits", "train,tset"], "has no split 'tset': name one of train, val"),
        (["faces", "--layout", "folder", "--jobs", "0"], "'0' is not a number above 0"),
        (
            ["faces", "--layout", "folder", "--out", "gs://bucket/records"],
            "is not on this machine: use a local folder",
        ),
        (["faces", "--layout", "folder", "--out", "faces"], "lies in the source 'faces': choose another folder"),
        (["faces", "--layout", "folder", "--out", "faces/train/../new"], "lies in the source 'faces'"),
        (["faces", "--layout", "folder", "--out", "link/new"], "lies in the source 'faces'"),
        (["circle", "--layout", "folder", "--out", "new"], "the folder 'circle' is a link to 'circle', which does not"),
        (["faces", "--layout", "folder", "--out", "circle/new"], "cannot write into the folder 'circle/new'"),
        (["faces", "--layout", "folder", "--out", "other"], "is not empty and holds no records"),
    ],
)
def test_mistakes_are_one_sentence(capsys, faces, monkeypatch, argv, sentence):
    monkeypatch.chdir(faces.parent)
    (faces.parent / "link").symlink_to(faces)
    (faces.parent / "circle").symlink_to("circle")
    (faces.parent / "other").mkdir()
    (faces.parent / "other" / "mine.txt").write_text("mine")
    before = sorted(faces.parent.rglob("*"))
    assert cli.main(["data", "prepare", "--out", "out", *argv]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(faces.parent.rglob("*")) == before


def test_no_room_on_the_disk_is_one_sentence(capsys, faces):
    """The kernel refuses to let files grow beyond 4000 bytes; with room the same command finishes."""
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
        "from l2s_jax.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    argv = ["data", "prepare", str(faces), "--layout", "folder", "--out", str(faces.parent / "out"), "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", limited, *argv], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("l2s: cannot write '")
    assert ended.stderr.count("\n") == 1
    assert not list((faces.parent / "out").glob("*.array_record"))
    assert prepare(capsys, faces)[0] == 0
    assert json.loads((faces.parent / "out" / "manifest.json").read_text())["splits"]["train"]["examples"] == 12
