"""Decode untrusted images: any mode, any orientation, any damage, and never more pixels than allowed.

Only raster formats whose decoders are part of Pillow itself are tried (no PostScript, no external programs), and HEIC
if the package pillow-heif is installed.
"""

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from etils import epath
from PIL import ExifTags, Image, ImageOps, ImageSequence, UnidentifiedImageError

from input_pipeline import files
from input_pipeline.errors import UserError, require
from input_pipeline.images import heic
from input_pipeline.images.color_profiles import to_srgb
from input_pipeline.images.lossy import lossy_coding
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.types import Example

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")
MAX_PIXELS = 100_000_000
"""Default limit on width times height; the largest medium-format cameras stay below it."""

# Label maps at 512 px: level 8 saves 13 % over zlib's default 6 for 2 ms more, paid once; level 9 another 13 % for
# 8 ms more. Decoding takes the same time at every level.
_PNG_LEVEL = 8
_PHOTO_WANTED = f"give a {', '.join(FORMATS)} file"
_MASK_WANTED = "save it as a palette or 8-bit grey PNG"

# The errors of Pillow's decoders on damaged files (random damage produced the first five, AVIF the RuntimeError; the
# others are the modules').
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # a warning under -W error
_DAMAGE = (*_TOO_LARGE, OSError, SyntaxError, ValueError, TypeError, RuntimeError, EOFError, struct.error, zlib.error)


class Encoded(NamedTuple):
    """The content of a file that was already read.

    Attributes:
      name: the file, for error messages.
      data: its bytes.
    """

    name: str
    data: bytes


Picture = str | os.PathLike | Encoded
"""An image: a path (local, or an `epath.Path` of a bucket), or its bytes."""


def read_image(picture: Picture, *, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image as a viewer shows it.

    Args:
      picture: a JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF file (the first frame of an animation).
      at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if its longer side keeps at least this many
        pixels (2 to 4 times faster for large photos); None decodes every pixel.
      max_pixels: refuse images of more pixels, before decoding them.

    Returns:
      uint8 [H, W, 3], sRGB values; see `to_rgb`.

    Raises:
      UserError: no such file, not an image, damaged, or too large.
    """
    return read_sized(picture, at_least=at_least, max_pixels=max_pixels)[0]


def read_sized(
    picture: Picture, *, at_least: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode as `read_image` does; also return the (height, width) at full size, before any reduction."""
    with _open(picture, max_pixels) as (image, _), _damage_named(picture):
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        size = (image.width, image.height) if turned else (image.height, image.width)
        pixels = _decoded(image, at_least)
        return to_rgb(pixels, name=f"'{name_of(picture)}'"), size


def read_animation(picture: Picture, *, max_pixels: int = MAX_PIXELS) -> Iterator[np.ndarray]:
    """Yield the frames of an animated GIF, WebP, AVIF or PNG, each as `read_image` returns a picture.

    Raises:
      UserError: as `read_image`, when the frame is asked for.
    """
    with _open(picture, max_pixels) as (image, _), _damage_named(picture):
        for frame in ImageSequence.Iterator(image):
            yield to_rgb(frame, name=f"'{name_of(picture)}'")


def _decoded(image: Image.Image, at_least: int | None) -> Image.Image:
    drafted = None
    if at_least is not None and image.format != "HEIF":  # HEIC offers only a separate thumbnail
        scale = min(1.0, at_least / max(image.size))
        drafted = image.draft(None, (int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale))))
    image.load()
    if drafted is None or drafted[1][2:] == image.size:
        return image
    # JPEG rounds up: its last pixels cover less of the image than the others, as if it continued beyond the border.
    return image.resize(image.size, Image.Resampling.BILINEAR, box=drafted[1])


class Drawing(NamedTuple):
    """A colour-coded label image.

    Attributes:
      pixels: uint8 [H, W, 3], the values in the file: no colour profile is applied.
      coding: the lossy coding that has changed them, or None.
    """

    pixels: np.ndarray
    coding: str | None


def read_drawing(picture: Picture, *, exact: bool, max_pixels: int = MAX_PIXELS) -> Drawing:
    """Decode a colour-coded label image, or the image of one part.

    Args:
      picture: as `read_image`.
      exact: refuse lossy codings, as `read_mask` does.
      max_pixels: refuse images of more pixels, before decoding them.

    Raises:
      UserError: as `read_image`, and for a lossy coding if `exact`.
    """
    with _open(picture, max_pixels, _MASK_WANTED, exact=exact) as (image, coding), _damage_named(picture):
        return Drawing(_upright_rgb(image, None, f"'{name_of(picture)}'"), coding)


def read_mask(picture: Picture, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the class ids of a palette or grey PNG.

    Args:
      picture: a palette image (its indices count, not its colours), or a grey one of 8 bits, or of 16 bits with no
        value above 255. The content decides, not the file name.
      max_pixels: refuse masks of more pixels, before decoding them.

    Returns:
      uint8 [H, W].

    Raises:
      UserError: as `read_image`; for lossy codings, which change ids; and for colour images, which have no ids.
    """
    with _open(picture, max_pixels, _MASK_WANTED, exact=True) as (image, _), _damage_named(picture):
        image.load()
        mode, values = image.mode, np.asarray(image)
    fault = None
    if mode not in ("P", "L", "1") and not mode.startswith("I"):
        fault = f"is a colour image (mode {mode}), but a mask holds one class id per pixel: {_MASK_WANTED}"
    elif values.max() > 255 or values.min() < 0:
        fault = f"holds the value {values.max()}, but class ids in a mask go from 0 to 255"
    if fault is not None:
        raise UserError(f"'{name_of(picture)}' {fault}")
    return values.astype(np.uint8)


def to_rgb(image: Image.Image, *, name: str = "the image") -> np.ndarray:
    """Convert a Pillow image of any mode to the uint8 [H, W, 3] that a viewer shows, in sRGB.

    The EXIF orientation is applied, and the colour profile (see `color_profiles`); grey is repeated; palettes are
    looked up; 16-bit grey is scaled (65535 becomes 255); CMYK and Lab are converted; transparent pixels are composited
    over black, because the colours under them are arbitrary.

    Args:
      image: any mode.
      name: the image, for error messages.

    Raises:
      UserError: floating-point or 32-bit values, which have no agreed white level.
    """
    return _upright_rgb(image, image.info.get("icc_profile"), name)


def _upright_rgb(image: Image.Image, profile: bytes | None, name: str) -> np.ndarray:
    """Convert as `to_rgb` does, with this profile instead of the image's own; None keeps the values unchanged."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scaled_grey(np.asarray(image), name)
    if not image.has_transparency_data:
        plain = image if image.mode in ("RGB", "L", "CMYK", "LAB") else image.convert("RGB")
        return np.array(to_srgb(plain, profile))
    with_alpha = image.convert("RGBA")
    plain = image.convert("L") if image.mode in ("L", "LA") else with_alpha.convert("RGB")
    seen = to_srgb(plain, profile)
    seen.putalpha(with_alpha.getchannel("A"))
    black = Image.new("RGBA", seen.size, (0, 0, 0, 255))
    return np.array(Image.alpha_composite(black, seen).convert("RGB"))


def _scaled_grey(values: np.ndarray, name: str) -> Image.Image:
    fits = values.dtype.kind != "f" and values.min() >= 0 and values.max() <= 0xFFFF
    require(fits, f"{name} holds {values.dtype} values, which have no agreed white: save it with 8 or 16 bits")
    grey = (values.astype(np.uint32) * 255 + 0x7FFF) // 0xFFFF
    return Image.fromarray(grey.astype(np.uint8))


def png(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels [H, W] or [H, W, 3] as a PNG file, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels [H, W, 3] as a JPEG file of quality 95, without chroma subsampling: lips are small."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def name_of(picture: Picture) -> str:
    """Return the picture's name for error messages."""
    return picture.name if isinstance(picture, Encoded) else os.fspath(picture)


@contextlib.contextmanager
def _open(
    picture: Picture, max_pixels: int, wanted: str = _PHOTO_WANTED, *, exact: bool = False
) -> Iterator[tuple[Image.Image, str | None]]:
    """Yield the image with only its header read, and its lossy coding or None, which `exact` refuses."""
    with contextlib.ExitStack() as stack:
        with files.reading(name_of(picture), "check the path"):
            opened = io.BytesIO(picture.data) if isinstance(picture, Encoded) else epath.Path(picture).open("rb")
        file = stack.enter_context(opened)
        with _damage_named(picture, wanted):
            image = stack.enter_context(_identify(file, name_of(picture)))
            coding = lossy_coding(image, file)
        fault = None
        if image.width * image.height > max_pixels:
            size = f"{image.width} x {image.height}"
            fault = f"has {size} pixels, more than the limit of {max_pixels}: make a smaller copy of it"
        elif exact and coding is not None:
            fault = (
                f"holds {coding} data, whose coding changes class ids: save the mask as PNG where it was drawn (a "
                "converted copy keeps the wrong ids)"
            )
        if fault is not None:
            raise UserError(f"'{name_of(picture)}' {fault}")
        yield image, coding


def _identify(file: BinaryIO, name: str) -> Image.Image:
    return heic.open_image(file, name) if heic.is_heic(file) else Image.open(file, formats=FORMATS)


@contextlib.contextmanager
def _damage_named(picture: Picture, wanted: str = _PHOTO_WANTED) -> Iterator[None]:
    """Convert Pillow's exceptions to one sentence about the file."""
    try:
        yield
    except _DAMAGE as error:
        reason = f"is damaged and cannot be decoded ({error}): replace or remove it"
        if isinstance(error, _TOO_LARGE):
            reason = "claims far too many pixels: make a smaller copy of it"
        elif isinstance(error, UnidentifiedImageError):
            reason = f"is not a readable image: {wanted}"
        raise UserError(f"'{name_of(picture)}' {reason}") from error


def assemble(
    picture: Picture, mask: np.ndarray | None, landmarks: np.ndarray | None, *, at_least: int | None = None
) -> Example:
    """Assemble the example of a photo.

    Args:
      picture: the photo.
      mask: uint8 [h, w] ids, or None.
      landmarks: float32 [K, 2] in pixels of the photo, or None.
      at_least: as in `read_image`: the photo may be decoded smaller, and landmarks are scaled with it.

    Raises:
      UserError: a photo that cannot be read, or a mask that does not cover it: their sizes must be equal, or one an
        integer multiple of the other (CelebAMask-HQ's masks have half the size of its photos).
    """
    image, (height, width) = read_sized(picture, at_least=at_least)
    example = {"image": image}
    if mask is not None:
        require(
            _same_view((height, width), mask.shape),
            f"the mask of '{name_of(picture)}' has {mask.shape[1]} x {mask.shape[0]} pixels, but the photo has "
            f"{width} x {height}: they must be equal, or one a whole multiple of the other",
        )
        example["mask"] = mask
    if landmarks is not None:
        reduction = np.divide(image.shape[1::-1], (width, height))
        example["landmarks"] = (landmarks * reduction).astype(np.float32)
    return example


def check_ids(mask: np.ndarray, label_set: LabelSet, name: str) -> np.ndarray:
    """Return the mask of the file `name`; raise UserError unless every value is an id of `label_set` or 255."""
    unknown = (mask >= len(label_set)) & (mask != IGNORE)
    if unknown.any():
        raise UserError(
            f"'{name}' holds the class id {mask[unknown].min()}, but label set '{label_set.name}' ends at "
            f"{len(label_set) - 1} (and {IGNORE} = ignore): correct the mask or name its label set"
        )
    return mask


def _same_view(photo: tuple[int, ...], mask: tuple[int, ...]) -> bool:
    (h, w), (larger_h, larger_w) = sorted((photo[:2], mask[:2]))
    return larger_h % h == 0 and larger_h // h * w == larger_w
