"""What `l2s parse` writes besides its three files, and where it takes photos from: folders, pipes, again and again."""

import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from input_pipeline.labels import CELEBAMASK
from l2s_jax import bundle, cli
from l2s_jax.commands import album
from tests.helpers import fake_system

LABELS = fake_system.LABELS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("parse")) as root:
        fake_system.save(root / "models" / "tiny")
        fake_system.save(root / "models" / "fine", label_set=CELEBAMASK)
        yield root


@pytest.fixture
def photo(tmp_path) -> Path:
    return save(tmp_path / "anna.png")


@pytest.fixture
def parse(capsys, place, tmp_path):
    def call(*argv, out=None, model="tiny") -> tuple[int, str, str]:
        options = ["--out", out or tmp_path / "out", "--model", model]
        code = cli.main(["parse", *map(str, [*argv, *options])])
        return code, *capsys.readouterr()

    return call


def save(path: Path, height: int = 32, width: int = 24, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(fake_system.painted(height, width)[0]).save(path, **options)
    return path


def read(path: Path, mode: str) -> np.ndarray:
    picture = Image.open(path)
    assert picture.mode == mode
    return np.asarray(picture)


def test_one_mask_of_regions_and_one_of_each_class(parse, photo, tmp_path):
    assert parse(photo, "--regions", "hair,face", "--masks")[0] == 0
    out = tmp_path / "out"
    ids = read(out / "anna_labels.png", "P")
    np.testing.assert_array_equal(read(out / "anna_mask.png", "L"), np.where(ids > 0, 255, 0))
    for name in LABELS.names:
        np.testing.assert_array_equal(read(out / f"anna_{name}.png", "L"), np.where(ids == LABELS[name], 255, 0))
    assert len(os.listdir(out)) == 4 + len(LABELS)
    options = json.loads((out / "anna.json").read_text())["options"]
    assert options["regions"] == ["hair", "face"]


def test_soft_masks_are_probabilities(parse, photo, tmp_path):
    assert parse(photo, "--soft")[0] == 0
    grey = {name: read(tmp_path / "out" / f"anna_{name}.png", "L").astype(int) for name in LABELS.names}
    assert 250 < np.min(sum(grey.values())) <= np.max(sum(grey.values())) < 260
    assert ((grey["hair"] > 30) & (grey["hair"] < 225)).any()
    assert parse(photo, "--soft", "--regions", "hair", out=tmp_path / "one")[0] == 0
    np.testing.assert_array_equal(read(tmp_path / "one" / "anna_mask.png", "L"), grey["hair"])
    assert len(os.listdir(tmp_path / "one")) == 4


def test_cutouts_on_nothing_and_on_a_colour(parse, photo, tmp_path):
    assert parse(photo, "--cutout")[0] == 0
    cut, inside = read(tmp_path / "out" / "anna_cutout.png", "RGBA"), np.asarray(Image.open(photo))
    np.testing.assert_array_equal(cut[..., 3] > 0, read(tmp_path / "out" / "anna_labels.png", "P") > 0)
    np.testing.assert_array_equal(cut[cut[..., 3] > 0][:, :3], inside[cut[..., 3] > 0])
    assert parse(photo, "--background", "0,255,7", "--regions", "hair")[0] == 0
    laid, hair = read(tmp_path / "out" / "anna_cutout.png", "RGB"), read(tmp_path / "out" / "anna_mask.png", "L") > 0
    assert (laid[~hair] == (0, 255, 7)).all()
    np.testing.assert_array_equal(laid[hair], inside[hair])


def test_another_label_set(parse, photo, tmp_path):
    assert parse(photo, "--label-set", "l2s_regions", "--regions", "lips", model="fine")[0] == 0
    assert json.loads((tmp_path / "out" / "anna.json").read_text())["label_set"] == "l2s_regions"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--regions", "hiar"], "unknown region 'hiar' of label set 'l2s_regions' (did you mean 'hair'?)"),
        (["--background", "0,0"], "argument --background: '0,0' is no colour, three numbers from 0 to 255"),
        (["--background", "0,0,256"], "'0,0,256' is no colour"),
        (["--smooth", "1"], "argument --smooth: '1' is not a number from 0 to 0.99"),
        (["--label-set", "lapa12"], "unknown label set 'lapa12' (did you mean 'lapa'?)"),
        (["--label-set", "celebamask"], "label set 'l2s_regions' cannot be mapped to 'celebamask'"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_words_are_one_sentence(parse, photo, tmp_path, options, sentence):
    code, out, err = parse(photo, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not any(name.endswith((".png", ".json")) for name in os.listdir(tmp_path) if name != "anna.png")


def test_folders_are_read_with_their_subfolders_and_keep_their_names(parse, tmp_path):
    album = tmp_path / "album"
    for name in ("a.png", "one/a.png", "one/two/b.png", ".hidden/c.png"):
        save(album / name)
    (album / "loop").symlink_to(album)
    (album / "one" / "bad.jpg").write_bytes(b"no")
    code, out, err = parse(album, album / "a.png")
    assert code == 2
    assert "1 of 5 photos could not be read and were skipped: bad.jpg" in err
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json"))
    assert written == ["a-2.json", "a.json", "one/a.json", "one/two/b.json"]
    assert "one/two/b  24x32" in out
    assert parse(album, out=album)[0] == 2  # results lie beside their photos
    code, out, _ = parse(album, out=album)
    assert "3 photos parsed" in out
    assert "6 files that l2s parse wrote are left out" in out


def test_a_subfolder_without_photos_is_no_mistake_and_an_album_without_any_is(parse, tmp_path):
    (tmp_path / "album" / "empty" / "too").mkdir(parents=True)
    code, _, err = parse(tmp_path / "album")
    assert (code, err.count("\n")) == (2, 1)
    assert "album' holds no photos" in err


def test_the_package_brings_a_model(capsys, place, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bundle, "DEFAULT_PARSER", place / "models" / "tiny")
    assert cli.main(["parse", "anna.png"]) == 0
    assert capsys.readouterr().out.startswith("model tiny (")
    assert len(os.listdir("masks")) == 3


def pipe(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("options", "mode"),
    [([], "P"), (["--regions", "hair"], "L"), (["--regions", "hair", "--cutout"], "RGBA")],
)
def test_from_standard_input_to_standard_output(capsysbinary, place, photo, monkeypatch, options, mode):
    pipe(monkeypatch, photo.read_bytes())
    assert cli.main(["parse", "-", "--out", "-", "--model", "tiny", *options]) == 0
    out, err = capsysbinary.readouterr()
    assert err == b""
    picture = Image.open(io.BytesIO(out))
    assert (picture.format, picture.mode, picture.size) == ("PNG", mode, (24, 32))


def test_a_photo_from_standard_input_is_called_stdin(parse, photo, tmp_path, monkeypatch):
    pipe(monkeypatch, photo.read_bytes())
    assert parse("-")[0] == 0
    assert len(list((tmp_path / "out").glob("stdin*"))) == 3
    pipe(monkeypatch, b"no picture")
    code, _, err = parse("-")
    assert code == 2
    assert "'standard input' is not a readable image" in err
    monkeypatch.setattr(sys, "stdin", None)
    assert "nothing comes on standard input" in parse("-")[2]


@pytest.mark.parametrize("more", [["second.png"], ["--masks"], ["--soft"], ["--json"], ["--watch"]], ids=" ".join)
def test_standard_output_takes_one_picture(parse, photo, tmp_path, more):
    save(tmp_path / "second.png")
    more = [str(tmp_path / word) if word.endswith("png") else word for word in more]
    code, out, err = parse(photo, *more, out="-")
    assert (code, out) == (2, "")
    assert err == "l2s: --out - writes one picture of one photo: name a folder for more\n"


def test_json_lines_for_programs(parse, photo, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    code, out, err = parse(photo, tmp_path / "bad.png", "--json")
    assert code == 2
    said = {Path(entry["image"]).name: entry for entry in map(json.loads, out.splitlines())}
    assert "is not a readable image" in said["bad.png"]["error"]
    facts = json.loads((tmp_path / "out" / "anna.json").read_text())
    facts.pop("written_by")
    assert said["anna.png"] == facts
    assert "1 photo parsed" in err


def test_what_is_done_is_left_as_it_is(parse, photo, tmp_path):
    save(tmp_path / "ben.png")
    described = tmp_path / "out" / "anna.json"

    def again(*options, model="tiny"):
        return parse(photo, tmp_path / "ben.png", "--skip-done", *options, model=model)[1].splitlines()[-1]

    assert "2 photos parsed into" in again()
    written = described.stat().st_mtime_ns
    assert again().endswith("0 photos parsed into " + str(tmp_path / "out") + ", 2 left as they were")
    assert described.stat().st_mtime_ns == written
    (tmp_path / "out" / "ben_labels.png").unlink()
    assert "1 photo parsed" in again()
    assert "2 photos parsed" in again("--clean", "5")
    assert "2 photos parsed" in again("--clean", "5", "--masks")
    assert "0 photos parsed" in again("--clean", "5", "--masks")
    assert "2 photos parsed" in again("--clean", "5", "--masks", "--label-set", "l2s_regions", model="fine")
    os.utime(photo, ns=(described.stat().st_mtime_ns + 10**9,) * 2)
    assert "1 photo parsed" in again("--clean", "5", "--masks", "--label-set", "l2s_regions", model="fine")


def test_watching_takes_what_is_new_once_it_lies_still(parse, photo, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    save(folder / "a.png")
    monkeypatch.setattr(album, "_PAUSE", 0.02)
    finished, ended = [], threading.Event()

    def user():
        """Copies a photo slowly once another is parsed, and interrupts when both are there."""
        for _ in range(5000):  # compiling takes long on a busy machine
            if (tmp_path / "out" / "a.json").exists():
                break
            time.sleep(0.02)
        whole = photo.read_bytes()
        for end in (20, 40, len(whole)):
            (folder / "b.png").write_bytes(whole[:end])
            time.sleep(0.01)
        for _ in range(5000):
            if (tmp_path / "out" / "b.json").exists():
                finished.append(True)
                break
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        while not ended.wait(10):  # an interrupt that comes before the watching is lost
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=user)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
    try:
        thread.start()
        code, out, _ = parse(folder, "--watch")
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert finished
    assert code in (0, 2)  # 2 if a slow machine let half a photo lie still
    assert "2 photos parsed" in out
    assert "watching" in out


def test_arrivals_are_new_or_changed_and_lie_still(tmp_path):
    path = save(tmp_path / "a.png")
    arrivals = album.Arrivals([path])
    assert arrivals.settled([path]) == set()
    other = save(tmp_path / "b.png")
    assert arrivals.settled([path, other]) == set()
    other.write_bytes(b"longer" + other.read_bytes())
    assert arrivals.settled([path, other]) == set()
    assert arrivals.settled([path, other]) == {other}
    assert arrivals.settled([path, other]) == set()
    path.write_bytes(b"changed")
    assert [arrivals.settled([path, other]) for _ in range(3)] == [set(), {path}, set()]
    path.unlink()
    assert arrivals.settled([path, other]) == set()


ORIENTATIONS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


def test_all_orientations_give_one_mask(parse, tmp_path):
    """A camera writes the pixels as its sensor lies, and says how to turn them."""
    image = fake_system.painted(40, 24)[0]
    for number, turned in ORIENTATIONS.items():
        exif = Image.Exif()
        exif[0x0112] = number
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(turned(image))).save(path, exif=exif)
    assert parse(tmp_path / "in")[0] == 0
    masks = [read(tmp_path / "out" / f"{number}_labels.png", "P") for number in ORIENTATIONS]
    assert masks[0].shape == (40, 24)
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize("kind", ["alpha", "16 bit", "16 bit grey tiff", "profile", "palette", "cmyk"])
def test_photos_of_every_kind_give_the_mask_of_what_is_seen(parse, tmp_path, kind):
    image = fake_system.painted(40, 24)[0]
    shown, path = image, tmp_path / "in" / "x.png"
    path.parent.mkdir()
    if kind == "alpha":  # what is transparent is seen as black, whatever colour lies under it
        alpha = np.full((40, 24), 255, np.uint8)
        alpha[:10] = 0
        Image.fromarray(np.dstack([image, alpha])).save(path)
        shown = np.where(alpha[..., None] > 0, image, np.uint8(0))
    elif kind.startswith("16 bit"):
        path = path.with_suffix(".tiff" if "tiff" in kind else ".png")
        grey = np.asarray(Image.fromarray(image).convert("L"))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
        shown = np.repeat(grey[..., None], 3, -1)
    elif kind == "profile":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        Image.fromarray(image).save(path, icc_profile=profile.tobytes())
    elif kind == "palette":
        Image.fromarray(image).quantize(8).save(path)
    else:
        path = path.with_suffix(".tiff")
        Image.fromarray(image).convert("CMYK").save(path)
    Image.fromarray(shown).save(tmp_path / "in" / "same.png")
    assert parse(tmp_path / "in")[0] == 0
    masks = [read(tmp_path / "out" / f"{name}_labels.png", "P") for name in ("x", "same")]
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 900), (900, 3)])
def test_any_aspect_ratio(parse, tmp_path, height, width):
    assert parse(save(tmp_path / "x.png", height, width))[0] == 0
    assert read(tmp_path / "out" / "x_labels.png", "P").shape == (height, width)
