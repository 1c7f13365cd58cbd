import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.images.decode import read_image, read_mask, read_sized, to_rgb
from tests.helpers.dots import centroid, dot_face


@pytest.fixture
def ramp():
    """uint8 [24, 40, 3], all three channels different."""
    y, x = np.mgrid[:24, :40]
    return np.stack([x * 6, y * 10, (x + y) * 3], axis=-1).astype(np.uint8)


def save(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


def png_header(path, width, height):
    """A PNG that claims a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip
    return path


def test_rgb_png_is_read_exactly(tmp_path, ramp):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", ramp)), ramp)


def test_grey_is_repeated(tmp_path, ramp):
    grey = ramp[..., 0]
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", grey)), np.stack([grey] * 3, axis=-1))


def test_palette_shows_its_colors(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([9, 8, 7, 60, 50, 40, 255, 0, 1])
    rgb = read_image(save(tmp_path / "a.png", image))
    np.testing.assert_array_equal(rgb, [[[9, 8, 7], [60, 50, 40]], [[255, 0, 1], [60, 50, 40]]])


def test_transparent_pixels_lie_over_black(tmp_path, ramp):
    alpha = np.zeros(ramp.shape[:2], np.uint8)
    alpha[:, :20] = 255
    rgb = read_image(save(tmp_path / "a.png", np.dstack([ramp, alpha])))
    np.testing.assert_array_equal(rgb[:, :20], ramp[:, :20])
    assert (rgb[:, 20:] == 0).all()


def test_grey_with_alpha_lies_over_black(tmp_path, ramp):
    pair = np.dstack([ramp[..., 0], np.full(ramp.shape[:2], 128, np.uint8)])
    rgb = read_image(save(tmp_path / "a.png", Image.fromarray(pair, mode="LA")))
    assert np.abs(rgb[..., 0] - ramp[..., 0] * (128 / 255)).max() <= 1


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    values = np.array([[0, 257, 32896, 65535, 65407, 65406]], np.uint16)
    rgb = read_image(save(tmp_path / "a.png", values))
    np.testing.assert_array_equal(rgb, np.array([[0, 1, 128, 255, 255, 254]])[..., None].repeat(3, axis=-1))


def test_cmyk_jpeg(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    rgb = read_image(save(tmp_path / "a.jpg", cmyk, quality=95))
    assert np.abs(rgb.astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, ramp, orientation):
    # What each orientation means, from the EXIF standard: where row 0 and column 0 of the file are seen.
    seen = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](ramp)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", ramp, exif=exif)
    np.testing.assert_array_equal(read_image(path), seen)
    assert read_sized(path)[1] == seen.shape[:2]


def test_large_jpeg_is_decoded_small_on_request(tmp_path, ramp):
    path = save(tmp_path / "a.jpg", np.kron(ramp, np.ones((20, 20, 1), np.uint8)), quality=95)
    assert read_image(path).shape == (480, 800, 3)
    small = read_image(path, at_least=150)
    assert small.shape == (120, 200, 3)
    assert np.abs(small.reshape(24, 5, 40, 5, 3).mean(axis=(1, 3)) - ramp).mean() < 3
    assert read_image(path, at_least=5000).shape == (480, 800, 3)
    np.testing.assert_array_equal(read_sized(path, at_least=150)[0], small)
    assert read_sized(path, at_least=150)[1] == (480, 800)


@pytest.mark.parametrize(("orientation", "xy"), [(1, (236, 30)), (6, (250 - 30, 236))])
def test_a_jpeg_decoded_small_shows_the_same_field_of_view(tmp_path, orientation, xy):
    """At 1/8, 250 pixels become 32, the last of which JPEG fills only by a quarter; here all 32 cover the 250."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", dot_face(250, 250, 236, 30, radius=16)["image"], quality=95, exif=exif)
    image, (height, width) = read_sized(path, at_least=31)
    assert (image.shape, height, width) == ((32, 32, 3), 250, 250)
    expected = np.multiply(xy, np.divide(image.shape[1::-1], (width, height)))
    np.testing.assert_allclose(centroid(image[..., 0]), expected, atol=0.15)


def test_floating_point_pixels_are_refused_by_name(tmp_path):
    path = save(tmp_path / "depth.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(UserError, match=r"depth\.tif.*float32"):
        read_image(path)
    with pytest.raises(UserError, match="the image holds float32"):
        to_rgb(Image.open(path))


@pytest.mark.parametrize(("suffix", "keep"), [("jpg", 0.7), ("jpg", 0.2), ("png", 0.6), ("jpg", 0.0)])
def test_truncated_file_is_named(tmp_path, ramp, suffix, keep):
    path = save(tmp_path / f"cut.{suffix}", ramp)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError, match=rf"cut\.{suffix}' is (damaged|not a readable image)"):
        read_image(path)


def test_other_files_are_named(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture at all")
    with pytest.raises(UserError, match=r"text\.jpg' is not a readable image: give a JPEG"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"gone\.png' does not exist"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_image(tmp_path)


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "a.jpg").symlink_to("moved.jpg")
    with pytest.raises(UserError, match=r"a\.jpg' is a link to 'moved\.jpg', which does not exist: check the path"):
        read_image(tmp_path / "a.jpg")


def test_postscript_is_not_even_tried(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(UserError, match="not a readable image"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize(("width", "height"), [(12_000, 8_400), (30_000, 30_000), (2_000_000_000, 2_000_000_000)])
def test_size_is_judged_by_the_header(tmp_path, recwarn, width, height, action):
    warnings.simplefilter(action, Image.DecompressionBombWarning)  # what users make of Pillow's warning is theirs
    with pytest.raises(UserError, match=r"bomb\.png.*pixels"):
        read_image(png_header(tmp_path / "bomb.png", width, height))


def test_pixel_limit_can_be_lowered(tmp_path, ramp):
    path = save(tmp_path / "a.png", ramp)
    assert read_image(path, max_pixels=40 * 24).shape == ramp.shape
    with pytest.raises(UserError, match="40 x 24 pixels, more than the limit of 959"):
        read_image(path, max_pixels=40 * 24 - 1)
    with pytest.raises(UserError, match="more than the limit of 959"):
        read_mask(path, max_pixels=40 * 24 - 1)


def test_mask_of_a_palette_is_its_indices(tmp_path):
    ids = np.array([[0, 5, 255], [18, 5, 0]], np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(list(range(256)) * 3)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", image)), ids)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_mask_of_8_or_16_bits(tmp_path, dtype):
    ids = np.array([[0, 5, 255], [18, 5, 0]], dtype)
    mask = read_mask(save(tmp_path / "m.png", ids))
    np.testing.assert_array_equal(mask, ids)
    assert mask.dtype == np.uint8


def test_mask_with_values_above_255_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"m\.png' holds the value 256"):
        read_mask(save(tmp_path / "m.png", np.array([[256]], np.uint16)))


@pytest.mark.parametrize("channels", [3, 4])
def test_color_mask_is_refused(tmp_path, channels):
    with pytest.raises(UserError, match=r"m\.png' is a colour image .* one class id per pixel"):
        read_mask(save(tmp_path / "m.png", np.zeros((4, 4, channels), np.uint8)))


def test_truncated_mask_is_named(tmp_path):
    path = save(tmp_path / "m.png", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"m\.png' is damaged"):
        read_mask(path)
