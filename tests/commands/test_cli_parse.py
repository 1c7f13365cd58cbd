"""`l2s parse` on every kind of photo: three files each, ids at the original size, one sentence for each mistake."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2s_jax import cli
from l2s_jax.commands import results
from tests.helpers import fake_system

LABELS = fake_system.LABELS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with one model, whose description it is; outputs go to folders named by each test."""
    with fake_system.working_directory(tmp_path_factory.mktemp("parse")) as root:
        yield fake_system.save(root / "models" / "tiny")


def parse(capsys, *argv) -> tuple[int, str, str]:
    model = [] if "--model" in argv else ["--model", "tiny"]
    code = cli.main(["parse", *map(str, argv), *model])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def ids_of(path: Path) -> np.ndarray:
    picture = Image.open(path)
    assert picture.mode == "P"
    return np.asarray(picture)


def nothing_half_written(folder: Path) -> bool:
    return not any(name.startswith(".") or name.endswith(".part") for name in os.listdir(folder))


def test_the_three_files(capsys, place, tmp_path):
    meta = place
    image, ids = fake_system.painted(48, 32)
    photo = save(tmp_path / "in" / "anna.png", image)
    code, out, err = parse(capsys, photo, "--out", tmp_path / "out", "--model", "tiny")
    assert (code, err) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["anna.json", "anna_labels.png", "anna_overlay.png"]
    assert (ids_of(tmp_path / "out" / "anna_labels.png") == ids).mean() > 0.95
    colours = np.asarray(Image.open(tmp_path / "out" / "anna_labels.png").convert("RGB"))
    np.testing.assert_array_equal(colours, LABELS.palette[ids_of(tmp_path / "out" / "anna_labels.png")])
    assert np.asarray(Image.open(tmp_path / "out" / "anna_overlay.png")).shape == (48, 32, 3)
    facts = json.loads((tmp_path / "out" / "anna.json").read_text())
    assert (facts["width"], facts["height"], facts["label_set"]) == (32, 48, "l2s_regions")
    assert facts["image"] == str(photo)
    assert facts["model"] == {"name": "tiny", "system": "fake", "sha256": meta.sha256, "licence": "Apache-2.0"}
    assert list(facts["classes"]) == list(LABELS.names)
    assert sum(c["area"] for c in facts["classes"].values()) == pytest.approx(1, abs=1e-5)
    assert facts["classes"]["hair"]["area"] == pytest.approx(np.mean(ids == LABELS["hair"]), abs=0.05)
    assert facts["classes"]["hair"]["id"] == LABELS["hair"]
    assert facts["classes"]["nose"] == {"id": LABELS["nose"], "area": 0.0, "confidence": None}
    assert 0 < facts["confidence"] <= 1
    assert set(facts["timings_ms"]) == {"read", "parse", "write"}
    assert all(value >= 0 for value in facts["timings_ms"].values())
    assert "anna" in out
    assert "32x48" in out


def test_whose_weights_find_the_faces_is_said_where_their_licence_is_stricter(capsys, place, tmp_path):
    photo = save(tmp_path / "a.png", fake_system.painted(16, 16)[0])
    sentence = "faces are found by face-detector-small, licence: non-commercial; --crop none does without"
    for crop, said, licence in (("auto", True, "non-commercial"), ("none", False, "Apache-2.0")):
        code, out, _ = parse(capsys, photo, "--out", tmp_path / crop, "--crop", crop)
        assert (code, sentence in out) == (0, said)
        assert licence in json.loads((tmp_path / crop / "a.json").read_text())["licence"]


def grey(path, image):
    Image.fromarray(image).convert("L").save(path)


def rgba(path, image):
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    Image.fromarray(np.concatenate([image, alpha], -1)).save(path)


def sixteen_bit(path, image):
    Image.fromarray(np.asarray(Image.fromarray(image).convert("L")).astype(np.uint16) * 257).save(path)


def rotated(path, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(path, exif=exif)


@pytest.mark.parametrize("make", [grey, rgba, sixteen_bit, rotated])
def test_kinds_of_photos(capsys, place, tmp_path, make):
    image, _ = fake_system.painted(40, 24)
    make(tmp_path / "photo.png", image)
    twin = image
    if make in (grey, sixteen_bit):
        twin = np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None], 3, -1)
    save(tmp_path / "twin.png", twin)
    code, _, err = parse(capsys, tmp_path / "photo.png", tmp_path / "twin.png", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    photo, same = (ids_of(tmp_path / "out" / f"{name}_labels.png") for name in ("photo", "twin"))
    assert photo.shape == (40, 24)  # upright, as a viewer shows it
    np.testing.assert_array_equal(photo, same)


def test_cleaning_gives_specks_to_what_surrounds_them(capsys, place, tmp_path):
    image, ids = fake_system.painted(16, 16)
    speckled, nose = image.copy(), LABELS["nose"]
    speckled[12, 8:11] = LABELS.palette[nose]
    photo = save(tmp_path / "a.png", speckled)
    for clean, left in ((0, 3), (3, 3), (4, 0)):
        code, _, err = parse(capsys, photo, "--out", tmp_path / "out", "--clean", clean)
        assert (code, err) == (0, "")
        found = ids_of(tmp_path / "out" / "a_labels.png")
        assert (found == nose).sum() == left
        facts = json.loads((tmp_path / "out" / "a.json").read_text())
        assert facts["clean"] == clean
        assert (facts["classes"]["nose"]["area"] > 0) == (left > 0)
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("clean", ["-1", "1.5", "many", ""])
def test_cleaning_needs_a_whole_number(capsys, place, tmp_path, clean):
    photo = save(tmp_path / "a.png", fake_system.painted(8, 8)[0])
    code, out, err = parse(capsys, photo, "--out", tmp_path / "out", "--clean", clean)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"argument --clean: '{clean}' is not a whole number of pixels, 0 or more" in err
    assert not (tmp_path / "out").exists()


def test_folders_batches_and_equal_stems(capsys, place, tmp_path):
    sizes = {"a/one.png": (16, 16), "a/two.JPG": (30, 20), "b/one.png": (20, 30), "b/three.webp": (16, 24)}
    for name, size in sizes.items():
        save(tmp_path / name, fake_system.painted(*size)[0])
    (tmp_path / "a" / "notes.txt").write_text("not a photo")
    code, out, _ = parse(capsys, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out", "--batch", 3)
    assert code == 0
    assert "4 photos parsed" in out
    shapes = {n: ids_of(tmp_path / "out" / f"{n}_labels.png").shape for n in ("one", "two", "one-2", "three")}
    assert shapes == {"one": (16, 16), "two": (30, 20), "one-2": (20, 30), "three": (16, 24)}


def test_names_never_meet(tmp_path):
    paths = [
        (Path(p), Path())
        for p in ("a/x.png", "b/x.png", "b/X.jpg", "c/x-2.png", "d/x.png", "e/e\u0301.png", "f/\u00e9.png")
    ]
    names = results.names(paths, tmp_path, [".json"])
    assert names[0] == "x"
    assert names[3] == "x-2"
    assert names[6] == "\u00e9-2"
    assert len({name.casefold() for name in names}) == len(names)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_album_that_is_its_own_out_folder(capsys, place, tmp_path):
    for name in ("anna.png", "ben.jpg"):
        save(tmp_path / name, fake_system.painted(16, 16)[0])
    photos = content(tmp_path)
    assert parse(capsys, tmp_path, "--out", tmp_path)[0] == 0
    first = content(tmp_path)
    assert len(first) == 8
    code, out, err = parse(capsys, tmp_path, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "2 photos parsed" in out
    assert "4 files that l2s parse wrote are left out" in out
    again = content(tmp_path)
    assert again.keys() == first.keys()
    pictures = [name for name in first if not name.endswith(".json")]
    assert all(again[name] == first[name] for name in pictures)
    assert all(again[name] == photos[name] for name in photos)
    everything = [str(path) for path in tmp_path.iterdir() if path.suffix != ".json"]  # what a shell makes of *
    assert "2 photos parsed" in parse(capsys, *everything, "--out", tmp_path)[1]
    assert content(tmp_path).keys() == first.keys()


@pytest.mark.parametrize("name", ["face.json", "face_labels.png", "face_overlay.png"])
@pytest.mark.parametrize("kind", ["file", "picture", "folder", "link"])
def test_what_others_wrote_is_never_replaced(capsys, monkeypatch, place, tmp_path, name, kind):
    photo = save(tmp_path / "face.png", fake_system.painted(16, 16)[0])
    if kind == "picture":
        save(tmp_path / "drawn.png", fake_system.painted(8, 8)[0]).rename(tmp_path / name)
    elif kind == "folder":
        (tmp_path / name).mkdir()
    elif kind == "link":
        (tmp_path / name).symlink_to("nowhere")
    else:
        (tmp_path / name).write_text('{"annotation": "of weeks"}')
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr("l2s_jax.inference.parser.Parser.load", lambda *args: pytest.fail("work before the check"))
    code, out, err = parse(capsys, photo, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"l2s: '{tmp_path / name}' was not written by `l2s parse` and is not replaced: choose another --out\n"
    assert sorted(os.listdir(tmp_path)) == before


def test_results_of_other_photos_stay(capsys, place, tmp_path):
    for folder, size in (("a", 16), ("b", 24), ("c", 32)):
        save(tmp_path / folder / "x.png", fake_system.painted(size, size)[0])
    out = tmp_path / "out"
    expected = {"x": 16, "x-2": 24, "x-3": 32}
    for folder in ("a", "b", "c", "b", "a"):  # each keeps its name, whatever the order
        assert parse(capsys, tmp_path / folder, "--out", out)[0] == 0
    assert {path.stem for path in out.glob("*.json")} == set(expected)
    assert {name: len(ids_of(out / f"{name}_labels.png")) for name in expected} == expected


def test_results_of_another_model_are_replaced_and_move_with_their_photos(capsys, place, tmp_path):
    photo = save(tmp_path / "album" / "x.png", fake_system.painted(16, 16)[0])
    other = fake_system.save(tmp_path / "other", name="other")
    assert parse(capsys, photo, "--out", photo.parent, "--model", "tiny")[0] == 0
    moved = (tmp_path / "album").rename(tmp_path / "moved")
    assert parse(capsys, moved, "--out", moved, "--model", tmp_path / "other")[0] == 0
    assert json.loads((moved / "x.json").read_text())["model"]["name"] == other.name
    assert len(list(moved.iterdir())) == 4


@pytest.mark.parametrize(
    "text", [b"", b"[" * 100_000, b"[]", b'{"written_by": 5}', b'{"written_by": "me"}', b"\xff", b" " * (1 << 21)]
)
def test_what_only_looks_like_a_result(tmp_path, text):
    for name in ("a.json", "a_labels.png"):
        (tmp_path / name).write_bytes(text)
        assert not results.is_result(tmp_path / name)


def test_a_folder_of_results_holds_no_photos(capsys, place, tmp_path):
    photo = save(tmp_path / "in" / "x.png", fake_system.painted(16, 16)[0])
    assert parse(capsys, photo, "--out", tmp_path / "out")[0] == 0
    code, _, err = parse(capsys, tmp_path / "out", "--out", tmp_path / "more")
    assert code == 2
    assert "holds only results of `l2s parse`" in err
    assert not (tmp_path / "more").exists()


def test_odd_names_stop_no_album_and_reach_no_terminal(capsys, place, tmp_path):
    names = ["-x", "a\nb", "\x1b[2Jred", "[bold]", "\u202egpj", "x" * 251, "x" * 250 + "y", "é" * 120, "tail\\"]
    names.append(os.fsdecode(b"latin\xe9"))
    pixels = fake_system.painted(16, 16)[0]
    save(tmp_path / "photo.png", pixels)
    (tmp_path / "in").mkdir()
    for name in names:
        os.link(tmp_path / "photo.png", tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "._hidden.png").write_bytes(b"")
    (tmp_path / "in" / "\x1b[31mlost.png").symlink_to("nowhere")
    (tmp_path / "in" / "\x1b[31mcut.png").write_bytes(b"")
    for _ in range(2):
        code, out, err = parse(capsys, tmp_path / "in", "--out", tmp_path / "out")
        assert code == 2
        assert f"{len(names)} photos parsed" in out
        assert f"2 of {len(names) + 2} photos could not be read" in err.splitlines()[-1]
        assert "which does not exist" in err
        assert all(letter == "\n" or letter.isprintable() for letter in out + err)
        assert "[bold]" in out
        assert "hidden" not in out + err
        assert len(err.splitlines()) == 3
        assert len(list((tmp_path / "out").glob("*.json"))) == len(names)


def test_a_link_to_itself_is_one_sentence(capsys, place, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "x.png", tmp_path / ("n" * 300), tmp_path / "a.png" / "b"):
        (tmp_path / "a.png").touch()
        code, out, err = parse(capsys, path, "--out", tmp_path / "out")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "cannot be read: " in err or "there is no photo or folder" in err


def test_unreadable_photos_are_named_counted_and_skipped(capsys, place, tmp_path):
    image, _ = fake_system.painted(64, 64)
    good = save(tmp_path / "in" / "good.png", image)
    whole = save(tmp_path / "whole.jpg", image).read_bytes()
    (tmp_path / "in" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "text.png").write_text("hello")
    code, out, err = parse(capsys, tmp_path / "in", good, "--out", tmp_path / "out", "--batch", 2)
    assert code == 2
    assert [line.split()[0] for line in err.splitlines()] == ["skipped:", "skipped:", "l2s:"]
    assert "cut.jpg" in err.splitlines()[0]
    assert "text.png" in err.splitlines()[1]
    assert err.splitlines()[-1] == "l2s: 2 of 4 photos could not be read and were skipped: cut.jpg, text.png"
    assert "2 photos parsed" in out
    assert sorted(n for n in os.listdir(tmp_path / "out") if n.endswith(".json")) == ["good-2.json", "good.json"]
    assert nothing_half_written(tmp_path / "out")
    code, _, err = parse(capsys, tmp_path / "in" / "text.png", "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)  # where there is nothing to sum up
    assert err.startswith(f"l2s: '{tmp_path / 'in' / 'text.png'}' is not a readable image: ")


def test_wrong_paths_stop_before_any_work(capsys, place, tmp_path):
    photo = save(tmp_path / "a.png", fake_system.painted(8, 8)[0])
    (tmp_path / "empty").mkdir()
    for argv, sentence in [
        ([photo, tmp_path / "nope.jpg"], "there is no photo or folder"),
        ([tmp_path / "empty"], "holds no photos"),
    ]:
        code, out, err = parse(capsys, *argv, "--out", tmp_path / "out")
        assert (code, out) == (2, "")
        assert sentence in err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["a.png", "a.png/deeper", "/proc/nowhere"])
def test_an_unwritable_out_folder_stops_before_any_work(capsys, place, tmp_path, where):
    photo = save(tmp_path / "a.png", fake_system.painted(8, 8)[0])
    code, out, err = parse(capsys, photo, "--out", tmp_path / where)
    assert (code, out) == (2, "")
    assert err.startswith("l2s: cannot write into the folder")
    assert err.count("\n") == 1


def test_a_full_disk_leaves_no_half_file(capsys, place, tmp_path, monkeypatch):
    photo = save(tmp_path / "a.png", fake_system.painted(8, 8)[0])

    def full(self, content):
        with open(self, "wb") as stream:
            stream.write(content[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        code, _, err = parse(capsys, photo, "--out", tmp_path / "out")
    assert code == 2
    assert "No space left on device" in err
    assert os.listdir(tmp_path / "out") == []


def test_wrong_models_are_one_sentence(capsys, place, tmp_path):
    photo = save(tmp_path / "a.png", fake_system.painted(8, 8)[0])
    fake_system.save(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"\0" * 5)
    for model, sentence in [("tyni", "did you mean 'tiny'?"), (tmp_path / "cut", "is damaged")]:
        code, _, err = parse(capsys, photo, "--out", tmp_path / "out", "--model", model)
        assert code == 2
        assert sentence in err
        assert os.listdir(tmp_path / "out") == []
