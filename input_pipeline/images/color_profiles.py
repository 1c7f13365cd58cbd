"""Convert photos to sRGB from their ICC profile, as viewers do it."""

import functools
import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 1 << 22
"""Longer profiles are ignored, bytes; the largest in use, those for printing, have 2 to 3 MB."""
SRGB_LEVELS = 2
"""A profile that moves no colour by more levels than this is one of the many variants of sRGB: nothing is converted."""

_CACHED = 16  # number of profiles; a data set has a few
_CLASSES = ("mntr", "scnr", "prtr", "spac")  # profiles of devices and colour spaces, not of effects and links
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # Pillow's modes by the profile's colour space


class _Conversion(NamedTuple):
    mode: str  # of the images that it converts
    transform: ImageCms.ImageCmsTransform


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB (mode RGB).

    Profiles that are broken, too long or made for another kind of image are ignored, as viewers do.

    Args:
      image: mode RGB, L, CMYK or LAB.
      profile: the ICC profile in its file, untrusted; None means sRGB, or grey and CMYK as Pillow converts them.
    """
    conversion = None
    if image.mode == "LAB":
        conversion = _of_lab()
    elif isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        conversion = _of_profile(profile, image.mode)
    if conversion is None:
        return image.convert("RGB")
    return ImageCms.applyTransform(image.convert(conversion.mode), conversion.transform)


# Both cache only transforms, which any number of threads may use at once: Flags.NOCACHE makes them stateless.
@functools.lru_cache(maxsize=_CACHED)
def _of_profile(profile: bytes, mode: str) -> _Conversion | None:
    """Return the conversion of images of a mode, or None if none is needed or the profile is unusable."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        source = _MODES.get(opened.profile.xcolor_space.strip())
        fits = source == mode or (source == "RGB" and mode == "L")
        if not fits or opened.profile.device_class not in _CLASSES:
            return None
        conversion = _conversion(opened, source)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if _is_srgb(conversion) else conversion


@functools.lru_cache(maxsize=1)
def _of_lab() -> _Conversion:
    return _conversion(ImageCms.createProfile("LAB"), "LAB")


def _conversion(source: ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile, mode: str) -> _Conversion:
    target = ImageCms.createProfile("sRGB")
    return _Conversion(mode, ImageCms.buildTransform(source, target, mode, "RGB", flags=ImageCms.Flags.NOCACHE))


def _is_srgb(conversion: _Conversion) -> bool:
    """Return whether no colour of a grid moves by more than `SRGB_LEVELS`."""
    if conversion.mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 18).astype(np.uint8)  # steps of 15
    if conversion.mode == "L":
        grid = Image.fromarray(levels[None])
    else:
        grid = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3))
    moved = np.asarray(ImageCms.applyTransform(grid, conversion.transform), np.int16)
    return int(np.abs(moved - np.asarray(grid.convert("RGB"), np.int16)).max()) <= SRGB_LEVELS
