"""HEIC, the format of iPhone photos: detected by its first bytes, decoded by the optional package pillow-heif."""

import importlib.util
from typing import BinaryIO

from PIL import Image

from input_pipeline.errors import require

SUFFIXES = (".heic", ".heif")
WAY_OUT = "`pip install pillow-heif` lets it be read, or save it as JPEG"

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_CONTAINERS = {
    b"mif1",
    b"msf1",
}  # brands that do not name the codec, which is then one of the compatible brands
_HEAD_BYTES = 64


def is_heic(file: BinaryIO) -> bool:
    """Return whether a file begins like HEIC; its position is reset to the beginning."""
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head[4:8] != b"ftyp":
        return False
    brand, length = head[8:12], int.from_bytes(head[:4], "big")
    compatible = {head[k : k + 4] for k in range(16, min(length, len(head)), 4)}
    return brand in _BRANDS or (brand in _CONTAINERS and bool(compatible & _BRANDS))


def is_readable() -> bool:
    """Return whether pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def open_image(file: BinaryIO, name: str) -> Image.Image:
    """Open a HEIC file, reading only its header.

    Args:
      file: at its beginning.
      name: the file, for error messages.

    Raises:
      UserError: pillow-heif is not installed.
      SyntaxError: a damaged file (as from Pillow's own decoders).
    """
    require(is_readable(), f"'{name}' is an HEIC photo: {WAY_OUT}")
    import pillow_heif

    return pillow_heif.HeifImageFile(file)  # not registered with Pillow: that would affect the entire process
