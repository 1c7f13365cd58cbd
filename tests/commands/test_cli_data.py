"""`l2s data check`, `stats` and `show` on small folders."""

import io
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from input_pipeline import datasets
from input_pipeline.labels import CELEBAMASK, FACESYNTHETICS, LAPA, remap
from input_pipeline.synthetic import render
from l2s_jax import cli
from l2s_jax.commands import console
from l2s_jax.report import contact_sheet, overlays
from tests.helpers import face_folders


def l2s(capsys, *argv) -> tuple[int, str, str]:
    code = cli.main(["data", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def folder(tmp_path):
    return face_folders.write(tmp_path / "faces")


def test_check_of_a_whole_folder(capsys, folder, tmp_path):
    code, out, _ = l2s(capsys, "check", f"folder:{folder}", "--jobs", 1, "--json", tmp_path / "found.json")
    assert code == 0
    assert out.startswith(
        "train  8 faces, label set lapa  sides: 8 correct\nval  3 faces"
    )  # a bar leaves no blank line
    assert "nothing to fix, nothing to look at" in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["mend"], found["look"], found["findings"]) == (0, 0, [])
    assert {title: split["faces"] for title, split in found["splits"].items()} == {"train": 8, "val": 3}


def test_check_names_every_planted_fault(capsys, folder, tmp_path):
    planted = face_folders.plant(folder)
    code, out, _ = l2s(capsys, "check", f"folder:{folder}", "--jobs", 1, "--json", tmp_path / "found.json")
    assert code == 2
    rows = [line.split() for line in out.splitlines()]
    severities = [row[0] for row in rows if row and row[0] in ("fix", "look")]
    assert severities == ["fix"] * 2 + ["look"] * 4
    assert next(row for row in rows if "swapped" in row and row[0] == "look")[-3:] == ["train", "1", "t7"]
    assert "\x1b" not in out  # no colours into a pipe
    found = json.loads((tmp_path / "found.json").read_text())
    keys = {(finding["kind"], finding["split"], finding["name"]) for finding in found["findings"]}
    assert keys == planted.keys()
    assert (found["mend"], found["look"]) == (4, 4)
    assert found["splits"]["train"]["sides"]["swapped"] == ["t7"]
    assert found["splits"]["train"]["sides"]["correct"] == ["t0", "t5", "t6"]


def test_check_tells_of_landmarks_at_another_scale_and_of_lossy_masks(capsys, tmp_path):
    """As FaceSynthetics lies on disk, its points counted at twice the size."""
    to_set = remap(CELEBAMASK, FACESYNTHETICS)
    for k in range(5):
        face = render(0, k, 48)
        pupils = [face["landmarks"][eye].mean(axis=0) for eye in (slice(36, 42), slice(42, 48))]
        points = 2 * np.concatenate([face["landmarks"], pupils])
        Image.fromarray(face["image"]).save(tmp_path / f"00000{k}.png")
        mask = Image.fromarray(to_set[face["mask"]])
        mask.save(tmp_path / f"00000{k}_seg.png", "JPEG" if k == 4 else "PNG")
        (tmp_path / f"00000{k}_ldmks.txt").write_text("".join(f"{x} {y}\n" for x, y in points))
    code, out, _ = l2s(capsys, "check", f"facesynthetics:{tmp_path}", "--jobs", 1)
    assert code == 2
    assert "landmarks: 4 of 4 faces have their landmarks beside the face; multiplied by 0.5" in out
    assert f"000004: '{tmp_path}/000004_seg.png' holds JPEG data, whose coding changes class ids" in out


def test_check_leaves_the_exit_code_at_0_where_nothing_must_be_fixed(capsys, folder):
    (folder / "val" / "images" / "v0.png").write_bytes((folder / "train" / "images" / "t0.png").read_bytes())
    code, out, _ = l2s(capsys, "check", f"folder:{folder}", "--jobs", 1)
    assert code == 0
    assert "the same picture in two splits" in out
    assert "val/v0: has the pixels of train/t0" in out


def test_check_of_several_data_sets_finds_what_they_share(capsys, folder, tmp_path):
    specs = [f"folder:{folder}?val", f"folder:{folder}?train"]
    code, _, _ = l2s(capsys, "check", *specs, "--jobs", 1, "--json", tmp_path / "found.json")
    assert code == 0
    assert list(json.loads((tmp_path / "found.json").read_text())["splits"]) == specs
    code, _, err = l2s(capsys, "check", specs[0], specs[0])
    assert code == 2
    assert "is named twice" in err


def test_stats_are_the_numbers_of_numpy(capsys, folder, tmp_path):
    code, out, _ = l2s(capsys, "stats", f"folder:{folder}", "--jobs", 1, "--json", tmp_path / "stats.json")
    assert code == 0
    stats = json.loads((tmp_path / "stats.json").read_text())["splits"]
    for split, source in datasets.open_splits(f"folder:{folder}").items():
        masks = np.stack([source[k]["mask"] for k in range(len(source))])
        for label in LAPA.labels:
            pixels = (masks == label.id).sum(axis=(1, 2))
            found = stats[split]["classes"][label.name]
            assert found["faces"] == (pixels > 0).sum()
            assert found["pixels"] == pixels.sum()
            assert found["face_share"] == (pixels > 0).mean()
            assert found["pixel_share"] == pytest.approx(pixels.sum() / masks.size)
            present = pixels[pixels > 0]
            assert found["median_share"] == (
                pytest.approx(np.median(present) / masks[0].size) if len(present) else None
            )
    train = out[out.index("train") : out.index("val")]
    row = next(line.split() for line in train.splitlines() if line.split()[:1] == ["skin"])
    assert row[:6] == ["skin", "skin", "8", "100.0", "%", "█" * 20]
    assert "8 faces  96x96" in out


def test_bars_are_whole_on_a_narrow_terminal(capsys, folder, monkeypatch):
    monkeypatch.setattr(console, "out", lambda: Console(width=80, highlight=False))
    code, out, _ = l2s(capsys, "stats", f"folder:{folder}?train", "--jobs", 1)
    assert code == 0
    assert "…" not in out
    assert {line.count("█") for line in out.splitlines() if "100.0 %" in line} == {5}
    assert max(map(len, out.splitlines())) <= 80


def test_a_terminal_that_knows_ascii_alone_shows_question_marks(monkeypatch):
    screen = io.BytesIO()
    with io.TextIOWrapper(screen, encoding="ascii", write_through=True) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert cli.main(["data", "stats", "synthetic:1", "--jobs", "1"]) == 0
        assert b"????" in screen.getvalue()
        monkeypatch.undo()


def test_stats_say_what_they_leave_out(capsys, folder):
    face_folders.plant(folder)
    _, out, _ = l2s(capsys, "stats", f"folder:{folder}?train", "--jobs", 1)
    assert "4 faces are broken and not counted" in out


def test_stats_of_records_come_from_their_manifest_or_from_the_faces(capsys, folder, tmp_path):
    records = tmp_path / "records"
    argv = ("prepare", folder, "--layout", "folder", "--out", records, "--jobs", 1)
    assert l2s(capsys, *argv)[0] == 0
    written = {}
    for spec, options in ((f"folder:{folder}", ()), (f"records:{records}", ()), (f"records:{records}", ("--recount",))):
        path = tmp_path / f"{len(written)}.json"
        code, out, _ = l2s(capsys, "stats", spec, "--jobs", 1, "--json", path, *options)
        assert (code, "median share" in out) == (0, len(written) != 1)
        written[spec, options] = json.loads(path.read_text())["splits"]
    raw, stored, recounted = written.values()
    assert raw == recounted
    for split in raw.values():
        split["image_sizes"] = None
        for label in split["classes"].values():
            label["median_share"] = None
    assert stored == raw


def test_stats_of_photos_without_masks_have_no_shares(capsys, folder):
    shutil.rmtree(folder / "val" / "masks")
    code, out, _ = l2s(capsys, "stats", f"folder:{folder}?val", "--jobs", 1)
    assert code == 0
    assert "3 faces, 3 without mask" in out
    assert "median share" not in out


def test_check_of_a_slice_of_records_verifies_its_files(capsys, folder, tmp_path):
    records = tmp_path / "records"
    assert l2s(capsys, "prepare", folder, "--layout", "folder", "--out", records, "--jobs", 1)[0] == 0
    path = records / "train.presence"
    path.write_bytes(bytes(len(path.read_bytes())))
    code, out, _ = l2s(capsys, "check", f"records:{records}?train[:4]", "--jobs", 1)
    assert code == 2
    assert "train.presence" in out
    assert l2s(capsys, "check", f"folder:{folder}?train[:4]", "--jobs", 1)[0] == 0


def test_check_of_records_verifies_their_checksums(capsys, folder, tmp_path):
    records = tmp_path / "records"
    assert l2s(capsys, "prepare", folder, "--layout", "folder", "--out", records, "--jobs", 1)[0] == 0
    assert l2s(capsys, "check", f"records:{records}", "--jobs", 1)[0] == 0
    shard = next(path for path in sorted(records.glob("*array_record*")) if "train" in path.name)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    code, out, _ = l2s(capsys, "check", f"records:{records}", "--jobs", 1)
    assert code == 2
    assert "records do not match their checksums" in out
    assert shard.name in out


def sheet_of(capsys, path, *argv) -> np.ndarray:
    code, out, _ = l2s(capsys, "show", *argv, "--out", path)
    assert code == 0
    assert str(path) in out
    assert not list(path.parent.glob(".*.part"))
    return np.asarray(Image.open(path))


def test_show_blends_the_palette_into_the_photo(capsys, tmp_path):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8), np.zeros((256, 256), np.uint8)
    mask[100:200, 50:150] = CELEBAMASK["hair"]
    face_folders.write_face(tmp_path / "faces" / "images" / "one.png", image, mask)
    sheet = sheet_of(capsys, tmp_path / "one.png", f"folder:{tmp_path / 'faces'}")
    top, left = np.argwhere((sheet != overlays.MAT).any(axis=-1) & (np.arange(len(sheet))[:, None] > 36))[0]
    assert (top, left) == (50, 16)
    face = sheet[50 : 50 + 256, 16 : 16 + 256]
    color = np.array(CELEBAMASK.labels[CELEBAMASK["hair"]].color)
    inside = (slice(101, 199), slice(51, 149))
    blend = np.round((1 - contact_sheet.ALPHA) * image[inside] + contact_sheet.ALPHA * color)
    np.testing.assert_array_equal(face[inside], blend)
    np.testing.assert_array_equal(face[mask == 0], image[mask == 0])
    assert (face[100, 50:150] == color).all()  # the outline
    assert (sheet[-40:] == color).all(axis=-1).any()  # the legend
    assert sheet.shape == (34 + 16 + 256 + 20 + 12 + 24 + 16, 16 + 640 + 16, 3)


def test_show_keeps_the_shape_of_photos(capsys, tmp_path):
    for name, (height, width) in {"tall": (300, 100), "wide": (60, 120)}.items():
        image, mask = np.full((height, width, 3), 200, np.uint8), np.zeros((height, width), np.uint8)
        face_folders.write_face(tmp_path / "faces" / "images" / f"{name}.png", image, mask)
    sheet = sheet_of(capsys, tmp_path / "sheet.png", f"folder:{tmp_path / 'faces'}")
    photo = (sheet == 200).all(axis=-1)
    tall, wide = photo[50:306, 16:272], photo[50:306, 278:534]
    assert tall.sum() == 256 * 85
    assert tall.any(axis=0).sum() == 85
    assert wide.sum() == 128 * 256


def test_show_draws_landmarks_and_augmented_views(capsys, tmp_path):
    argv = ("synthetic:40", "--count", 4)
    plain = sheet_of(capsys, tmp_path / "plain.png", *argv)
    assert (plain[50:-60] == 255).all(axis=-1).sum() > 4 * 30  # the inside of the dots
    views = sheet_of(capsys, tmp_path / "views.png", *argv, "--augment")
    again = sheet_of(capsys, tmp_path / "again.png", *argv, "--augment")
    np.testing.assert_array_equal(views, again)
    assert views.shape[1] == plain.shape[1]
    assert (views[60:300, 16:272] != plain[60:300, 16:272]).mean() > 0.5


def test_show_chooses_by_name_and_class(capsys, tmp_path):
    source = datasets.open_source("synthetic:12", size=256)
    smiles = [k for k in range(12) if (source[k]["mask"] == CELEBAMASK["mouth"]).any()]
    by_class = sheet_of(capsys, tmp_path / "a.png", "synthetic:12", "--with-class", "inner mouth")
    by_name = sheet_of(capsys, tmp_path / "b.png", "synthetic:12", "--names", ",".join(source.names[k] for k in smiles))
    assert 0 < len(smiles) < 12
    np.testing.assert_array_equal(by_class, by_name)


def test_show_leaves_broken_faces_out_and_says_so(capsys, folder, tmp_path):
    path = folder / "train" / "images" / "t2.png"
    path.write_bytes(path.read_bytes()[:2000])
    code, _, err = l2s(capsys, "show", f"folder:{folder}?train", "--out", tmp_path / "sheet.png")
    assert code == 2
    assert "1 of 8 faces could not be read and were left out: t2" in err
    assert Image.open(tmp_path / "sheet.png").width > 600


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["show", "synthetic:9", "--out", "x.jpg"], "does not end in .png"),
        (["show", "synthetic:9", "--out", "x.png", "--with-class", "hatt"], "did you mean 'hat'?"),
        (["show", "synthetic:9", "--out", "x.png", "--with-class", "necklase"], "did you mean 'necklace'?"),
        (["show", "synthetic:9", "--out", "x.png", "--with-class", "tail"], "has no class 'tail'"),
        (["show", "synthetic:1", "--out", "x.png", "--with-class", "hat"], "none of these faces"),
        (["show", "synthetic:9", "--out", "x.png", "--names", "train-00000"], "did you mean 'train-00000"),
        (["show", "synthetic:9", "--out", "x.png", "--count", "5000"], "more than the 1000 faces"),
        (["show", "sinthetic:9", "--out", "x.png"], "did you mean 'synthetic'?"),
        (["show", "synthetic:9", "--out", "x.png", "--names", ""], "has no face ''"),
        (["show", "synthetic:9", "--out", "x.png", "--with-class", ""], "has no class ''"),
        (["show", "synthetic:9"], "required: --out"),
        (["check", "synthetic:2", "--json", ""], "cannot write '.', which is a folder: name a file"),
        (["stats", "synthetic:2", "--json", "/"], "cannot write '/', which is a folder: name a file"),
        (["check", "folder:nowhere"], "the folder 'nowhere' does not exist"),
        (["check", "synthetic:2", "--json", "/dev/null/x.json"], "cannot write into the folder"),
        (["stats", "synthetic:0"], "'0' is not a number of faces"),
        (["stats", "synthetic:9", "--jobs", "0"], "'0' is not a number above 0"),
        (["chek", "synthetic:9"], "unknown command 'data chek'; did you mean 'check'?"),
    ],
)
def test_mistakes_are_one_sentence(capsys, tmp_path, monkeypatch, argv, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "shown"), [("t[red]0", "t[red]0"), ("t\x1b[2J0", r"t\x1b[2J0")])
def test_names_of_files_neither_colour_nor_steer_the_terminal(capsys, folder, name, shown):
    for kind in ("images", "masks"):
        (folder / "train" / kind / "t0.png").rename(folder / "train" / kind / f"{name}.png")
    (folder / "train" / "masks" / f"{name}.png").write_bytes(b"")
    code, out, _ = l2s(capsys, "check", f"folder:{folder}", "--jobs", 1)
    assert code == 2
    assert "\x1b" not in out
    assert shown in out
