"""Commands in odd places: no home, folders that may not be read, names that no system takes, foreign runs."""

import contextlib
import ctypes
import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from input_pipeline import files
from input_pipeline.errors import UserError, printable
from input_pipeline.readers.records import bucket
from l2s_jax import bundle, cli
from tests.helpers import fake_system

EDIT = ["edit", "swap", "--target", "photo.png", "--regions", "hair"]


@pytest.fixture(scope="module")
def place():
    """A working directory that every user may read, with a model, a config, a photo and a little data set."""
    root = Path(tempfile.mkdtemp(prefix="places-"))
    root.chmod(0o755)
    with fake_system.working_directory(root):
        fake_system.save(root / "models" / "tiny")
        image, ids = fake_system.painted(16, 16)
        for kind, pixels in (("images", image), ("masks", ids)):
            (root / "faces" / kind).mkdir(parents=True)
            Image.fromarray(pixels).save(root / "faces" / kind / "0.png")
        (root / "faces" / "labels.json").write_text(json.dumps({"label_set": fake_system.LABELS.name}))
        (root / "tiny.json").write_text(json.dumps(fake_system.fake_config().to_dict()))
        (root / "runs").mkdir()
        Image.fromarray(image).save(root / "photo.png")
        yield root
    shutil.rmtree(root)


def l2s(capsys, *argv) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def homeless(monkeypatch):
    """As a container's user without an entry in the list of users."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert os.path.expanduser("~") == "~"


def test_without_a_home_commands_work_and_make_no_folder_called_so(capsys, homeless, place, tmp_path):
    assert files.home() is None
    assert files.user_cache() is None
    assert l2s(capsys, "models")[0] == 0
    code, _, err = l2s(capsys, "parse", "photo.png", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    code, _, err = l2s(capsys, "parse", "photo.png", "--out", tmp_path / "out", "--model", "~/none")
    assert (code, err.count("\n")) == (2, 1)
    assert "no model '~/none'" in err
    with pytest.raises(UserError, match="set L2S_CACHE"):
        bucket.cache_folder({})
    assert bucket.cache_folder({"L2S_CACHE": str(tmp_path)}) == tmp_path / "records"
    assert not (place / "~").exists()


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextlib.contextmanager
def bound_by_rights():
    """Give up this thread's right to pass over file modes (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH): the superuser's.

    Acting as another user would do too, but that user may not read a Python in the superuser's own folders.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _CapabilityHeader(version=0x20080522), (_CapabilitySet * 2)()

    def call(function):
        if function(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), "capabilities")

    call(libc.capget)
    before = sets[0].effective
    sets[0].effective = before & ~(1 << 1 | 1 << 2)
    call(libc.capset)
    try:
        yield
    finally:
        sets[0].effective = before
        call(libc.capset)


@contextlib.contextmanager
def locked(folder: Path):
    """`folder` may not be looked into, by the superuser neither."""
    folder.chmod(0)
    try:
        with bound_by_rights() if os.geteuid() == 0 else contextlib.nullcontext():
            yield
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("folder", "argv"),
    [
        ("faces", ["parse", "faces", "--out", "{out}"]),
        ("faces", ["parse", "faces/images/0.png", "--out", "{out}"]),
        ("faces/images", ["parse", "faces/images", "--out", "{out}"]),
        ("runs", ["parse", "photo.png", "--out", "runs/masks"]),
        ("faces/images", [*EDIT, "--source", "faces/images/0.png", "--out", "{out}"]),
        ("runs", [*EDIT, "--source", "photo.png", "--out", "runs/edits"]),
        ("models/tiny", ["parse", "photo.png", "--out", "{out}", "--model", "models/tiny"]),
        ("models/tiny", ["evaluate", "--model", "tiny", "--data", "folder:faces"]),
        ("runs", ["report", "runs/any"]),
        ("runs", ["train", "--config", "runs/any.json"]),
        (
            "runs",
            ["train", "--config", "tiny.json", "--config.data.train=folder:faces", "--config.data.eval=folder:faces"],
        ),
        ("faces", ["data", "check", "folder:faces"]),
        ("faces/images", ["data", "stats", "folder:faces"]),
        ("faces/masks", ["data", "show", "folder:faces", "--out", "{out}/faces.png"]),
        ("faces/images", ["data", "prepare", "faces", "--layout", "folder", "--out", "{out}"]),
        ("faces", ["data", "prepare", "faces", "--layout", "folder", "--out", "{out}"]),
    ],
    ids=str,
)
def test_folders_that_may_not_be_read_are_one_sentence(capsys, place, folder, argv):
    with tempfile.TemporaryDirectory(dir=place) as out:
        os.chmod(out, 0o777)
        with locked(place / folder):
            code, _, err = l2s(capsys, *(word.format(out=out) for word in argv))
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert folder.partition("/")[0] in err or "tiny" in err


@pytest.mark.parametrize("name", ["runs/strange", "runs/strange/model", "runs"])
def test_a_foreign_run_is_named_and_passed_over(capsys, place, name):
    (place / "runs" / "strange" / "model").mkdir(parents=True)
    (place / "runs" / "strange" / "model" / "model.json").write_text('{"weights": "of others"}')
    (place / "runs" / "loop").symlink_to("loop")
    with locked(place / name):
        code, out, _ = l2s(capsys, "models")
        newest = bundle.newest()
    assert code == 0
    assert any(line.startswith("tiny") for line in out.splitlines())
    assert sum("damaged:" in line for line in out.splitlines()) == 1
    assert name in out
    assert newest == Path("models/tiny")
    (place / "runs" / "loop").unlink()
    shutil.rmtree(place / "runs" / "strange")


@pytest.mark.parametrize(
    "argv",
    [
        ["parse", "{name}", "--out", "out"],
        ["parse", "photo.png", "--out", "{name}"],
        [*EDIT, "--source", "{name}", "--out", "out"],
        [*EDIT, "--source", "photo.png", "--out", "{name}"],
        ["parse", "photo.png", "--out", "out", "--model", "{name}"],
        ["evaluate", "--model", "{name}", "--data", "folder:faces"],
        ["evaluate", "--model", "tiny", "--data", "folder:{name}"],
        ["report", "{name}"],
        ["train", "--config", "{name}.json"],
        ["data", "check", "folder:{name}"],
        ["data", "prepare", "{name}", "--layout", "folder", "--out", "out"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", ["n" * 300, "loop", "photo.png/x"], ids=["long", "loop", "below a file"])
def test_names_that_no_system_takes_are_one_sentence(capsys, place, argv, name):
    (place / "loop").symlink_to("loop")
    code, _, err = l2s(capsys, *(word.format(name=name) for word in argv))
    (place / "loop").unlink()
    shutil.rmtree(place / "out", ignore_errors=True)
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--config", "tiny.json", "--workdir", "{bucket}"],
        ["demo", "--workdir", "{bucket}"],
        ["evaluate", "--model", "{bucket}", "--data", "folder:faces"],
        ["evaluate", "--model", "tiny", "--data", "folder:faces", "--json", "{bucket}"],
        ["parse", "photo.png", "--out", "{bucket}"],
        ["parse", "{bucket}", "--out", "out"],
        ["export", "tiny", "--format", "onnx", "--out", "{bucket}"],
        ["report", "{bucket}"],
        [*EDIT, "--source", "photo.png", "--out", "{bucket}"],
        ["data", "prepare", "faces", "--layout", "folder", "--out", "{bucket}"],
    ],
    ids=" ".join,
)
def test_a_bucket_is_refused_with_the_way_out_and_makes_no_folder(capsys, place, argv):
    code, _, err = l2s(capsys, *(word.format(bucket="gs://bucket/run") for word in argv))
    shutil.rmtree(place / "out", ignore_errors=True)
    wanted = "'gs://bucket/run' is not on this machine: use a local folder and copy it, or mount the bucket"
    assert (code, err) == (2, f"l2s: {wanted}\n")
    assert not [*place.glob("gs*")]


def test_odd_names_of_models_reach_no_terminal(capsys, place):
    names = ["\x1b[2Jred", "a\nb", "[bold]", "\u202egpj", os.fsdecode(b"latin\xe9")]
    for name in names:
        fake_system.save(place / "models" / name)
    code, out, err = l2s(capsys, "models")
    assert (code, err) == (0, "")
    assert all(letter == "\n" or letter.isprintable() for letter in out)
    assert "[bold]" in out
    for name in names:
        assert l2s(capsys, "parse", "photo.png", "--out", place / "out", "--model", place / "models" / name)[0] == 0
        shutil.rmtree(place / "models" / name)
    shutil.rmtree(place / "out")


def test_what_is_printable():
    assert printable("é 日本\u00a0\u202f😀") == "é 日本\u00a0\u202f😀"
    assert printable("a\x1b[31m\n\t\x9b\u202e\u2028\udcff\0") == r"a\x1b[31m\n\t\x9b\u202e\u2028\udcff\x00"
