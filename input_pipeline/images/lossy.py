"""Detect lossy codings, which change the pixels of a mask and with them its class ids."""

from typing import BinaryIO

from PIL import Image

_FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "AVIF": "AVIF", "HEIF": "HEIC"}
_TIFF = ("jpeg", "tiff_jpeg")  # Pillow's names of the lossy codings inside a TIFF file
_CHUNKS = 64  # maximum number of chunks of a WebP file that are read; metadata of still images need five


def lossy_coding(image: Image.Image, file: BinaryIO) -> str | None:
    """Return the common name of an opened image's lossy coding; None if the pixels are exact.

    AVIF and HEIC count as lossy: their lossless modes cannot be detected, and nobody uses them for masks.

    Args:
      image: from `file`, with its header read.
      file: its position is restored.
    """
    if image.format == "TIFF":
        return "JPEG" if image.info.get("compression") in _TIFF else None
    if image.format == "WEBP":
        return "lossy WebP" if _is_lossy_webp(file) else None
    return _FORMATS.get(image.format)


def _is_lossy_webp(file: BinaryIO) -> bool:
    """Return whether the first image of a WebP file (RIFF chunks: name, length, data) is `VP8 `."""
    place = file.tell()
    file.seek(12)
    try:
        for _ in range(_CHUNKS):
            name, length = file.read(4), int.from_bytes(file.read(4), "little")
            if name in (b"VP8 ", b"VP8L", b""):
                return name == b"VP8 "
            # A frame of an animation contains chunks itself, after 16 bytes.
            file.seek(16 if name == b"ANMF" else length + length % 2, 1)
        return True
    finally:
        file.seek(place)
