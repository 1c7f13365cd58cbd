"""Which files of a folder are photos: AVIF, HEIC with and without its package, links, hidden and odd files."""

import io
import os
import sys

import numpy as np
import pillow_heif
import pytest
from etils import epath
from PIL import Image

from input_pipeline import datasets
from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded, read_image, read_sized
from input_pipeline.readers.downloads.folder import LAYOUT
from input_pipeline.readers.photos import list_photos


@pytest.fixture
def ramp():
    """uint8 [48, 80, 3], smooth."""
    y, x = np.mgrid[:48, :80]
    return np.stack([x * 3, y * 5, (x + y) * 2], axis=-1).astype(np.uint8)


def heic(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(array)).save(file, quality=95)
    return file.getvalue()


@pytest.fixture
def without_heif(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


def test_avif_is_read(tmp_path, ramp):
    Image.fromarray(ramp).save(tmp_path / "a.avif", quality=95)
    assert np.abs(read_image(tmp_path / "a.avif").astype(int) - ramp).mean() < 3


def test_heic_is_read_whatever_its_name_and_pillow_learns_nothing(tmp_path, ramp):
    (tmp_path / "a.jpg").write_bytes(heic(ramp))
    image, size = read_sized(tmp_path / "a.jpg", at_least=10)
    assert size == (48, 80)
    assert np.abs(image.astype(int) - ramp).mean() < 3
    assert "HEIF" not in Image.OPEN
    with pytest.raises(UserError, match="80 x 48 pixels, more than the limit of 100"):
        read_image(tmp_path / "a.jpg", max_pixels=100)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_package_names_the_way_out(ramp, without_heif, brand):
    content = heic(ramp)
    content = content[:8] + brand + content[12:]
    with pytest.raises(UserError, match="'a' is an HEIC photo: `pip install pillow-heif` lets it be read, or save"):
        read_image(Encoded("a", content))


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.7, 0.95])
def test_truncated_heic_is_named(ramp, keep):
    content = heic(ramp)
    with pytest.raises(UserError, match=r"'a' is (damaged|not a readable image)"):
        read_image(Encoded("a", content[: int(keep * len(content))]))


def avif(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "AVIF")
    return file.getvalue()


@pytest.mark.parametrize("encode", [avif, heic])
def test_random_damage_never_ends_in_a_traceback(ramp, encode):
    content, refused = encode(ramp), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 4)] = rng.integers(0, 256, 4)
        try:
            read_image(Encoded("a", damaged.tobytes()))
        except UserError:
            refused += 1
    assert refused > 20


def fill(folder):
    folder.mkdir(parents=True)
    photo = Image.new("RGB", (4, 4))
    for name in ("b.JPG", "a.png", "c.webp", "d.avif", "._a.png", ".hidden.jpg"):
        photo.save(folder / name)
    (folder / "notes.txt").write_text("x")
    (folder / "e.HEIC").write_bytes(heic(np.zeros((16, 16, 3), np.uint8)))
    (folder / "raw.CR2").write_bytes(b"x")
    (folder / "album.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to("nowhere\x1b[31m.jpg")
    (folder / "link.jpg").symlink_to("a.png")
    return folder


def test_photos_of_a_folder(tmp_path):
    found = list_photos(fill(tmp_path / "album"))
    assert [path.name for path in found.paths] == ["a.png", "b.JPG", "c.webp", "d.avif", "e.HEIC", "link.jpg"]
    assert [problem.name for problem in found.passed_over] == ["gone.jpg", "pipe.jpg", "raw.CR2"]
    gone, pipe, raw = (problem.reason for problem in found.passed_over)
    assert gone == "is a link to 'nowhere\\x1b[31m.jpg', which does not exist: correct or remove it"
    assert pipe == "is no regular file: remove it"
    assert raw == "is in a format that is not read (.cr2): save it as JPEG or PNG"


def test_heic_is_passed_over_without_its_package(tmp_path, without_heif):
    found = list_photos(fill(tmp_path / "album"))
    assert "e.HEIC" not in [path.name for path in found.paths]
    (reason,) = [problem.reason for problem in found.passed_over if problem.name == "e.HEIC"]
    assert reason.startswith("is an HEIC photo: `pip install pillow-heif`")


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="nowhere' does not exist"):
        list_photos(tmp_path / "nowhere")


def photo_folder(root, ramp):
    (root / "images").mkdir(parents=True)
    Image.fromarray(ramp).save(root / "images" / "a.avif", quality=95)
    (root / "images" / "b.heic").write_bytes(heic(ramp))
    return root


def test_folder_layout_reads_avif_and_heic(tmp_path, ramp):
    source = datasets.open_source(f"folder:{photo_folder(tmp_path / 'faces', ramp)}", require_masks=False)
    assert source.names == ("a", "b")
    for example in (source[0], source[1]):
        assert np.abs(example["image"].astype(int) - ramp).mean() < 3


def test_folder_layout_names_heic_without_its_package(tmp_path, ramp, without_heif):
    split = LAYOUT.open(epath.Path(photo_folder(tmp_path / "faces", ramp)), "", None)
    assert split.names == ("a",)
    (problem,) = split.problems
    assert (problem.name, problem.path) == ("b", str(tmp_path / "faces" / "images" / "b.heic"))
    assert "pip install pillow-heif" in problem.reason
