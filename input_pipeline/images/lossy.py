"""Whether an image file holds the pixels that were drawn: lossy codings change them, and class ids with them."""

from typing import BinaryIO

from PIL import Image

_FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "AVIF": "AVIF", "HEIF": "HEIC"}
_TIFF = ("jpeg", "tiff_jpeg")  # what Pillow calls the lossy codings inside of a TIFF file
_CHUNKS = 64  # of a WebP file that are looked at; metadata of still images need five


def lossy_coding(image: Image.Image, file: BinaryIO) -> str | None:
    """The lossy coding of an opened image, as people call it; None where the pixels are exact.

    AVIF and HEIC have lossless modes, which cannot be told and which nobody uses for masks.

    Args:
      image: from `file`, with its header read.
      file: its place is kept.
    """
    if image.format == "TIFF":
        return "JPEG" if image.info.get("compression") in _TIFF else None
    if image.format == "WEBP":
        return "lossy WebP" if _is_lossy_webp(file) else None
    return _FORMATS.get(image.format)


def _is_lossy_webp(file: BinaryIO) -> bool:
    """Whether the first picture of a WebP file (RIFF: chunks of a name, a length and that many bytes) is `VP8 `."""
    place = file.tell()
    file.seek(12)
    try:
        for _ in range(_CHUNKS):
            name, length = file.read(4), int.from_bytes(file.read(4), "little")
            if name in (b"VP8 ", b"VP8L", b""):
                return name == b"VP8 "
            # A frame of an animation holds chunks itself, after 16 bytes.
            file.seek(16 if name == b"ANMF" else length + length % 2, 1)
        return True
    finally:
        file.seek(place)
