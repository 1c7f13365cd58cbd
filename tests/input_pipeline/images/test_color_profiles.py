"""Photos of other colour spaces in sRGB, against a float64 computation from the spaces' definitions."""

import io
import threading

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from input_pipeline import datasets
from input_pipeline.images import color_profiles
from input_pipeline.images.color_profiles import to_srgb
from input_pipeline.images.decode import Encoded, read_drawing, read_image, read_mask, read_sized, to_rgb
from input_pipeline.readers.records.prepare import open_data, prepare
from tests.helpers.icc_fixture import (
    ADOBE_RGB,
    P3,
    SRGB,
    SRGB_CURVE,
    cmyk_profile,
    gamma_curve,
    grey_profile,
    profile,
    rgb_profile,
    seen,
    srgb_encoded,
)
from tests.helpers.raw_faces import write_folder

SPACES = {
    "Display P3": (P3, rgb_profile(P3, version=4)),
    "Display P3, version 2": (P3, rgb_profile(P3)),
    "Adobe RGB": (ADOBE_RGB, rgb_profile(ADOBE_RGB)),
}
GOOD = rgb_profile(P3)
CUBE = np.stack(np.meshgrid(*[np.linspace(0, 255, 24).astype(np.uint8)] * 3), axis=-1).reshape(24, 576, 3)


def encoded(image, form="PNG", **options) -> Encoded:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return Encoded("a", file.getvalue())


@pytest.mark.parametrize("space", SPACES)
def test_every_colour_is_the_one_computed_by_hand(space):
    definition, icc = SPACES[space]
    expected = seen(definition, CUBE)
    assert np.abs(expected - CUBE).max() > 20  # ignoring the profile would not pass
    for form, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        assert np.abs(read_image(encoded(CUBE, form, icc_profile=icc, **options)) - expected).max() < 1.5


def test_known_colours_of_the_definitions_themselves():
    """The reds of P3 and of Adobe RGB lie outside of sRGB; its own red is (234, 51, 35) in P3, as web browsers show."""
    pixels = np.uint8([[[234, 51, 35], [255, 255, 255], [0, 0, 0], [128, 128, 128]]])
    rgb = read_image(encoded(pixels, icc_profile=rgb_profile(P3, version=4)))
    assert np.abs(rgb.astype(int) - [[[255, 0, 0], [255, 255, 255], [0, 0, 0], [128, 128, 128]]]).max() <= 3
    assert np.abs(rgb.astype(int)[0, 1:] - [[255] * 3, [0] * 3, [128] * 3]).max() <= 1


@pytest.mark.parametrize("at_least", [None, 100])
def test_jpeg_also_where_it_is_decoded_small(at_least):
    y, x = np.mgrid[:400, :640]
    pixels = np.stack([x * 0.39, y * 0.6, (x + y) * 0.24], axis=-1).astype(np.uint8)
    icc = rgb_profile(ADOBE_RGB)
    plain = encoded(pixels, "JPEG", quality=95, subsampling=0)
    tagged = encoded(pixels, "JPEG", quality=95, subsampling=0, icc_profile=icc)
    raw, size = read_sized(plain, at_least=at_least)
    rgb, tagged_size = read_sized(tagged, at_least=at_least)
    assert (raw.shape, size) == (rgb.shape, tagged_size)
    assert rgb.shape[:2] == ((400, 640) if at_least is None else (100, 160))
    expected = seen(ADOBE_RGB, raw)
    assert np.abs(expected - raw).max() > 10
    assert np.abs(rgb - expected).max() < 1.5


def test_avif_and_heic(tmp_path):
    """iPhones write HEIC in Display P3; both codings are lossy, so smooth colours are compared."""
    y, x = np.mgrid[:64, :96]
    pixels = np.stack([x * 2 + 20, y * 3 + 20, 220 - x * 2], axis=-1).astype(np.uint8)
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.info["icc_profile"] = GOOD
    pillow_heif.from_pillow(image).save(file, quality=95, chroma=444)
    expected = seen(P3, pixels)
    assert np.abs(expected - pixels).mean() > 6
    for picture in (
        encoded(pixels, "AVIF", quality=95, subsampling="4:4:4", icc_profile=GOOD),
        Encoded("a", file.getvalue()),
    ):
        assert np.abs(read_image(picture) - expected).mean() < 2


def test_turned_photo():
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb = read_image(encoded(CUBE, exif=exif, icc_profile=rgb_profile(P3)))
    assert np.abs(rgb - np.rot90(seen(P3, CUBE), -1)).max() < 1.5


def test_pillow_image():
    image = Image.fromarray(CUBE)
    image.info["icc_profile"] = rgb_profile(P3)
    assert np.abs(to_rgb(image) - seen(P3, CUBE)).max() < 1.5
    np.testing.assert_array_equal(to_rgb(Image.fromarray(CUBE)), CUBE)


def test_transparent_pixels_are_laid_over_black_after_the_conversion():
    alpha = np.full(CUBE.shape[:2], 128, np.uint8)
    rgb = read_image(encoded(np.dstack([CUBE, alpha]), icc_profile=rgb_profile(P3)))
    assert np.abs(rgb - seen(P3, CUBE) * (128 / 255)).max() < 1.5


def test_palette():
    image = Image.fromarray(np.uint8([[0, 1, 2]]))
    colors = np.uint8([[200, 30, 90], [10, 220, 40], [255, 255, 255]])
    image.putpalette(colors.tobytes())
    rgb = read_image(encoded(image, icc_profile=rgb_profile(ADOBE_RGB)))
    assert np.abs(rgb[0] - seen(ADOBE_RGB, colors)).max() < 1.5


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey(mode):
    levels = np.arange(256)
    image = Image.fromarray((levels * 257).astype(np.uint16)[None] if mode == "I;16" else levels.astype(np.uint8)[None])
    if mode == "LA":
        image.putalpha(255)
    rgb = read_image(encoded(image, icc_profile=grey_profile(gamma_curve(1.75))))
    expected = 255 * srgb_encoded((levels / 255) ** 1.75)
    assert np.abs(expected - levels).max() > 12
    assert np.abs(rgb[0] - expected[:, None]).max() < 2


def test_grey_with_a_profile_of_rgb():
    """As image editors leave it when they turn a photo grey."""
    levels = np.arange(256, dtype=np.uint8)[None]
    rgb = read_image(encoded(levels, icc_profile=rgb_profile(ADOBE_RGB)))
    assert np.abs(rgb - seen(ADOBE_RGB, np.repeat(levels[..., None], 3, axis=-1))).max() < 1.5


def lab_seen(lab: np.ndarray) -> np.ndarray:
    """float64 sRGB levels of CIELab (D50)."""
    f = (lab[..., :1] + 16) / 116 + lab[..., 1:2] * [0.002, 0, 0] - lab[..., 2:] * [0, 0, 0.005]
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.96422, 1.0, 0.82521]
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    return 255 * srgb_encoded((xyz @ np.transpose(to_linear)).clip(0, 1))


def test_inks_of_a_printing_profile():
    lab = np.zeros((2, 2, 2, 2, 3))
    lab[0, 0, 0, 0], lab[1, 0, 0, 0], lab[0, 1, 0, 0], lab[0, 0, 1, 0] = (
        (100, 0, 0),  # the paper is white in every profile
        (58, -30, -40),
        (50, 66, -4),
        (88, -5, 80),
    )
    lab[1, 1, 0, 0], lab[0, 1, 1, 0], lab[1, 0, 1, 0] = (30, 20, -40), (48, 60, 40), (52, -60, 26)
    inks = np.array([(c, m, y, 0) for c in (0, 1) for m in (0, 1) for y in (0, 1) if (c, m, y) != (1, 1, 1)])
    image = Image.fromarray((inks[None] * 255).astype(np.uint8), mode="CMYK")
    rgb = read_image(encoded(image, "TIFF", icc_profile=cmyk_profile(lab)))
    expected = lab_seen(lab[tuple(inks.T)])
    naive = np.asarray(image.convert("RGB"))
    assert np.abs(expected - naive[0]).max() > 50
    assert np.abs(rgb[0] - expected).max() < 4  # the table holds whole steps of a* and b*


def test_lab():
    lab = np.array([[100, 0, 0], [0, 0, 0], [54, 60, 40], [60, -40, 20], [40, 10, -40]], float)
    image = Image.merge(
        "LAB", [Image.fromarray(p.astype(np.uint8)[None]) for p in np.round(lab * [2.55, 1, 1] + [0, 128, 128]).T]
    )
    rgb = read_image(encoded(image, "TIFF"))
    assert np.abs(rgb[0] - lab_seen(lab)).max() < 3


@pytest.mark.parametrize(
    "icc",
    [
        rgb_profile(SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        rgb_profile(SRGB._replace(curve=SRGB_CURVE), version=4),
    ],
)
def test_srgb_profiles_leave_every_value(icc, monkeypatch):
    read_image(encoded(CUBE[:1], icc_profile=icc))

    def refuse(*_):
        raise AssertionError("nothing is to be converted")

    monkeypatch.setattr(ImageCms, "applyTransform", refuse)
    np.testing.assert_array_equal(read_image(encoded(CUBE, icc_profile=icc)), CUBE)


USELESS = {
    "no profile at all": b"",
    "noise": bytes(range(256)) * 4,
    "cut": GOOD[:300],
    "without its tags": profile(b"RGB ", {}),
    "of inks": cmyk_profile(np.zeros((2, 2, 2, 2, 3))),
    "of grey": grey_profile(gamma_curve(1.0)),
    "of an effect": GOOD[:12] + b"abst" + GOOD[16:],
    "of a link": GOOD[:12] + b"link" + GOOD[16:],
    "endless": GOOD + bytes(color_profiles.MAX_PROFILE_BYTES),
}


@pytest.mark.parametrize("case", USELESS)
def test_useless_profiles_are_ignored(case):
    np.testing.assert_array_equal(to_srgb(Image.fromarray(CUBE), USELESS[case]), CUBE)


def test_random_damage_to_profiles_never_refuses_a_photo():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        icc = np.frombuffer(GOOD, np.uint8).copy()
        icc[rng.integers(0, len(icc), 6)] = rng.integers(0, 256, 6)
        assert to_srgb(Image.fromarray(CUBE[:2, :20]), icc.tobytes()).mode == "RGB"


def test_the_memory_of_conversions_is_bounded():
    for gamma in np.linspace(1, 3, 40):
        to_srgb(Image.fromarray(CUBE[:1]), rgb_profile(P3._replace(curve=gamma_curve(gamma))))
    info = color_profiles._of_profile.cache_info()
    assert info.currsize <= info.maxsize <= 32


def test_threads_share_a_conversion():
    content = {name: encoded(CUBE, icc_profile=icc) for name, (_, icc) in SPACES.items()}
    alone, wrong = {name: read_image(picture) for name, picture in content.items()}, []

    def read():
        for _ in range(5):
            wrong.extend(name for name in content if not np.array_equal(read_image(content[name]), alone[name]))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_masks_and_drawings_are_never_converted():
    ids = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(read_mask(encoded(ids, icc_profile=grey_profile(gamma_curve(1.0)))), ids)
    np.testing.assert_array_equal(read_drawing(encoded(CUBE, icc_profile=GOOD), exact=True).pixels, CUBE)


def test_records_keep_the_bytes_and_are_converted_when_they_are_read(tmp_path):
    write_folder(tmp_path / "raw", ["a", "b"], size=(24, 40))
    for name in ("a", "b"):
        image = Image.open(tmp_path / "raw" / "images" / f"{name}.png")
        image.save(tmp_path / "raw" / "images" / f"{name}.png", icc_profile=GOOD)
    raw = np.asarray(Image.open(tmp_path / "raw" / "images" / "a.png"))
    for out, size in (("whole", None), ("small", 20)):
        prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / out, jobs=1, size=size)
    direct, stored = (
        datasets.open_source(f"{kind}:{tmp_path}/{where}") for kind, where in (("folder", "raw"), ("records", "whole"))
    )
    assert stored.read_record(0).photo == (tmp_path / "raw" / "images" / "a.png").read_bytes()
    np.testing.assert_array_equal(stored[0]["image"], direct[0]["image"])
    assert np.abs(stored[0]["image"] - seen(P3, raw)).max() < 1.5
    small = datasets.open_source(f"records:{tmp_path}/small")[0]["image"]  # sRGB already, and without a profile
    expected = Image.fromarray(direct[0]["image"]).resize((20, 12), Image.Resampling.BOX)
    assert np.abs(small.mean(axis=(0, 1)) - np.asarray(expected).mean(axis=(0, 1))).max() < 3
