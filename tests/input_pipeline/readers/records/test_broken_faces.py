"""Generated corruption through `prepare`: what is broken is listed with its reason, what only looks odd works."""

import dataclasses
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from input_pipeline.images import decode
from input_pipeline.readers.records.prepare import normalise_reason, open_data, prepare
from input_pipeline.readers.records.source import RecordsSource
from tests.helpers.raw_faces import contents, data, make_faces, write_folder

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


def encoded(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def huge_png(width, height):
    """A PNG whose header promises more pixels than the file has bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


PHOTO = Image.fromarray(PIXELS)
BROKEN_PHOTOS = {
    "truncated_jpeg": (encoded(PHOTO, "JPEG")[:-200], "is damaged and cannot be decoded (image file is truncated"),
    "truncated_png": (encoded(PHOTO, "PNG")[:-60], "is damaged and cannot be decoded"),
    "zero_bytes": (b"", "is not a readable image"),
    "text": (b"<html>404 not found</html>", "is not a readable image"),
    "only_magic": (b"\xff\xd8\xff", "is not a readable image"),
    "large": (huge_png(12_000, 12_000), f"has 12000 x 12000 pixels, more than the limit of {decode.MAX_PIXELS}"),
    "huge": (huge_png(20_000, 20_000), "claims far too many pixels"),
    "floats": (encoded(Image.fromarray(np.float32(PIXELS[..., 0])), "TIFF"), "no agreed white"),
    "other_size": (encoded(Image.fromarray(PIXELS[:20]), "PNG"), "has 24 x 24 pixels, but the photo has 24 x 20"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # the default limit is above Pillow's
@pytest.mark.parametrize("case", BROKEN_PHOTOS)
def test_broken_photos_are_listed(tmp_path, case):
    content, reason = BROKEN_PHOTOS[case]
    write_folder(tmp_path / "raw", ["good", "bad"], size=(24, 24))
    (tmp_path / "raw" / "images" / "bad.png").write_bytes(content)
    made = prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / "out", jobs=1)
    assert made.manifest is None
    ((split, problem),) = made.broken.first
    assert (split, problem.name) == ("", "bad")
    assert problem.path == str(tmp_path / "raw" / "images" / "bad.png")
    assert reason in problem.reason
    assert json.loads((tmp_path / "out" / "broken.jsonl").read_text()) == {"split": split, **problem._asdict()}
    assert prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / "out", jobs=1, skip_broken=True).manifest
    assert tuple(RecordsSource(tmp_path / "out").names) == ("good",)


ODD_PHOTOS = {
    "png_called_jpg": PHOTO,
    "grey": PHOTO.convert("L"),
    "palette": PHOTO.convert("P"),
    "transparent": PHOTO.convert("RGBA"),
    "sixteen_bit": Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257),
    "one_pixel": PHOTO.crop((0, 0, 1, 1)),
}


@pytest.mark.parametrize("case", ODD_PHOTOS)
def test_odd_photos_work(tmp_path, case):
    write_folder(tmp_path / "raw", ["odd"], size=ODD_PHOTOS[case].size[::-1], suffix=".jpg")
    check_odd(tmp_path, encoded(ODD_PHOTOS[case], "PNG"), keeps_bytes=case != "sixteen_bit")


@pytest.mark.parametrize(
    "options", [{}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}]
)
def test_cmyk_and_turned_jpeg_work(tmp_path, options):
    size = (20, 24) if options else (24, 20)
    write_folder(tmp_path / "raw", ["odd"], size=size, suffix=".jpg")
    check_odd(tmp_path, encoded(Image.fromarray(PIXELS[:, :20]).convert("CMYK"), "JPEG", **options), keeps_bytes=True)


def check_odd(tmp_path, content, *, keeps_bytes):
    path = tmp_path / "raw" / "images" / "odd.jpg"
    path.write_bytes(content)
    prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / "out", jobs=1)
    source = RecordsSource(tmp_path / "out")
    np.testing.assert_array_equal(source[0]["image"], decode.read_image(path))
    assert (source.read_record(0).photo == content) == keeps_bytes


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (Image.fromarray(np.full((24, 24), 40, np.uint8)), "class id 40"),
        (Image.fromarray(np.zeros((20, 24), np.uint8)), "has 24 x 20 pixels, but the photo has 24 x 24"),
        (PHOTO, "is a colour image"),
        (Image.fromarray(np.full((24, 24), 400, np.uint16)), "holds the value 400"),
    ],
)
def test_broken_masks_are_listed(tmp_path, mask, reason):
    write_folder(tmp_path / "raw", ["bad", "good"], size=(24, 24))
    mask.save(tmp_path / "raw" / "masks" / "bad.png")
    made = prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / "out", jobs=1)
    assert made.manifest is None
    ((_, problem),) = made.broken.first
    assert problem.name == "bad"
    assert reason in problem.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../x", "leads out of its folder"),
        ("/etc/passwd", "leads out of its folder"),
        ("a/../../x", "leads out of its folder"),
        ("\x1b[2J", "cannot be printed"),
        ("two\nlines", "cannot be printed"),
        ("not utf-8 \udcff", "cannot be printed"),
        ("", "cannot be printed"),
        ("x" * 300, "has a name of more than 255 bytes"),
    ],
)
def test_hostile_names_never_leave_the_folder(tmp_path, name, reason):
    raw = make_faces(tmp_path / "box" / "raw", 2)
    raw = dataclasses.replace(raw, names=("good", name))
    made = prepare(data({"": raw}), tmp_path / "box" / "out", jobs=1)
    assert reason in made.broken.first[0][1].reason
    made = prepare(data({"": raw}), tmp_path / "box" / "out", jobs=1, skip_broken=True)
    assert tuple(RecordsSource(tmp_path / "box" / "out").names) == ("good",)
    assert [path.name for path in tmp_path.iterdir()] == ["box"]
    assert sorted(path.name for path in (tmp_path / "box").iterdir()) == ["out", "raw"]
    assert sorted(contents(tmp_path / "box" / "out")) == [
        "broken.jsonl",
        "faces-00000-of-00001.array_record",
        "faces-00000-of-00001.json",
        "faces.names",
        "faces.presence",
        "manifest.json",
        "plan.json",
    ]


def test_missing_and_unreadable_photos(tmp_path):
    raw = make_faces(tmp_path / "raw", 3)
    (tmp_path / "raw" / "1").unlink()
    (tmp_path / "raw" / "2").unlink()
    (tmp_path / "raw" / "2").mkdir()
    made = prepare(data({"": raw}), tmp_path / "out", jobs=1)
    assert [problem.reason.split(":")[0] for _, problem in made.broken.first] == [
        "does not exist",
        "cannot be read (Is a directory)",
    ]


def test_many_broken_faces_are_counted_by_reason(tmp_path):
    raw = make_faces(tmp_path / "raw", 30)
    for k in range(25):
        content = (tmp_path / "raw" / str(k)).read_bytes()
        (tmp_path / "raw" / str(k)).write_bytes(content[: 100 + k] if k < 15 else b"")
    found = prepare(data({"": raw}), tmp_path / "out", jobs=1).broken
    assert found.count == 25
    assert [problem.name for _, problem in found.first] == [f"face{k}" for k in range(10)]
    assert list(found.reasons.values()) == [15, 10]
    assert len((tmp_path / "out" / "broken.jsonl").read_text().splitlines()) == 25


def test_reasons_without_names_and_numbers():
    assert normalise_reason("has 3 x 4 pixels, but 'a''b.png' has 5") == "has N x N pixels, but '...''...' has N"
